"""Checkouts of other projects, which the slow tests compare with; nothing of theirs is in this repository.

QHARNESS_TEST_PEERS names a folder that has them under their repositories' names: human-eval, NL-Augmenter,
bigcode-evaluation-harness, MultiPL-E, lm-evaluation-harness, evaluate, humanevalplus_release; and evalplus, a folder
that pip installed it into.
`docs/peers.md` has the commits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest


def peer(name: str, part: str = "") -> Path:
    """A checkout's folder, with `part` under it; skips the test where it is absent."""
    root = os.environ.get("QHARNESS_TEST_PEERS")
    folder = Path(root or "peers") / name
    if root is None or not (folder / part).exists():
        pytest.skip(f"needs a checkout of {name} in the folder that QHARNESS_TEST_PEERS names")
    return folder.resolve()


def hub_folder(folder: Path, rows: Iterable[Mapping[str, Any]], *configs: str, split: str = "test") -> None:
    """Write rows as a data set that `datasets.load_dataset` reads from a folder, under these names of configurations."""
    folder.mkdir(parents=True, exist_ok=True)
    for config in configs:
        (folder / f"{config}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = sorted(path.stem for path in folder.glob("*.jsonl"))
    parts = [
        f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: {name}.jsonl\n"
        + ("  default: true\n" if name == known[0] else "")
        for name in known
    ]
    (folder / "README.md").write_text("---\nconfigs:\n" + "".join(parts) + "---\n")
