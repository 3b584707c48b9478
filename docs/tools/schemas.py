"""Write docs/schema/*.json: a JSON Schema of each document, from the types that read and write it.

python docs/tools/schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from qharness.results.finished import RunRecord, ScoreReport
from qharness.results.measured import CostProfile, NoiseReport
from qharness.results.paired_results import Comparison
from qharness.storage.json_codec import json_schema

FOLDER = Path(__file__).parents[1] / "schema"
DOCUMENTS = {
    "run": RunRecord,
    "score": ScoreReport,
    "comparison": Comparison,
    "profile": CostProfile,
    "noise": NoiseReport,
}


def render(name: str) -> str:
    """The text of a document's schema."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | json_schema(DOCUMENTS[name]), indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in DOCUMENTS:
        (FOLDER / f"{each}.json").write_text(render(each), encoding="utf-8")
