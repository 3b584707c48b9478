"""Writes the table of docs/models.md that says what quantizers touch: `python docs/tools/touched.py`.

Each architecture is built tiny and quantized by each quantizer; see tests/tiny_architectures.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "models.md"
QUANTS = {"rtn:3": "rtn", "int8-dynamic": "int8-dynamic", "int8-static": "int8-static",
          "aqlm:codebooks=1,nbits=3,finetune=none": "aqlm"}  # fmt: skip
HEADING = "| architecture | `model_type` |"


def render(names: Iterable[str]) -> list[str]:
    """The table's lines: a row an architecture."""
    from tests.tiny_architectures import ARCHITECTURES

    rows = [[name, f"`{ARCHITECTURES[name][0]}`", *(touched(name, quant) for quant in QUANTS)] for name in names]
    head = [f"{HEADING} {' | '.join(QUANTS.values())} |", "|:--|:--|" + "--:|" * len(QUANTS)]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)]


def touched(name: str, quant: str) -> str:
    """Percent of the blocks' parameters that a quantizer touches, or `refused` where that is less than half."""
    from qharness import ModelError
    from qharness.models.loading import LoadedModel
    from qharness.quantization.application import quantize_loaded
    from qharness.registry import get_registry
    from tests.tiny_architectures import calibration, logits, make
    from tests.tiny_models import tokenizer

    loaded = LoadedModel(make(name), tokenizer(), name)
    try:
        quantize_loaded(loaded, get_registry().quantizer(quant), calibration=calibration(2, 16))
    except ModelError as error:
        if "too little" not in str(error):
            raise
        return "refused"
    assert loaded.untouched is not None and logits(loaded.model).isfinite().all(), name
    return f"{100 * (1 - loaded.untouched.share):.1f}"


def rewritten(page: str, table: Iterable[str]) -> str:
    """The page with its table replaced."""
    before, _, rest = page.partition(HEADING)
    after = rest.partition("\n\n")[2]
    return before + "\n".join(table) + "\n\n" + after


if __name__ == "__main__":
    sys.path.insert(0, str(PAGE.parents[1]))
    from tests.tiny_architectures import ARCHITECTURES

    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), render(ARCHITECTURES)), encoding="utf-8")
