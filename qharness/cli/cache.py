"""`qharness cache`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from qharness.cli.output import print_table
from qharness.data import cache_dir

_KINDS = {
    "quantized": "quantized models",
    "calibration": "calibration sequences",
    "verdicts": "verdicts",
    "toolchains": "languages' harnesses",
    "back-translations": "back-translations",
}


def cache(action: Annotated[Literal["ls", "rm"], typer.Argument(help="List what is kept, or remove it.")]) -> None:
    """What qharness keeps to save work: quantized models, calibration sequences, verdicts, compiled harnesses."""
    entries = sorted(path for kind in _KINDS for path in (cache_dir() / kind).glob("*"))
    if action == "rm":
        for entry in entries:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        typer.echo(f"removed {len(entries)} entries of {cache_dir()}")
        return
    rows = [(_KINDS[e.parent.name], e.name, f"{_bytes(e) / 1e6:.1f}", _about(e)) for e in entries]
    print_table(("kind", "entry", "MB", "of"), rows)
    typer.echo(str(cache_dir()))


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _about(entry: Path) -> str:
    """What a quantized model is of, or what calibration sequences are."""
    about = entry / "about.json"
    if not about.is_file():
        return ""
    made = json.loads(about.read_text(encoding="utf-8"))
    return f"{made.get('quant') or made['set']} of {made['model'].split()[0]}, {made['seconds']} s"
