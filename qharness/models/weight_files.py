"""The files that hold a checkpoint's weights."""

from __future__ import annotations

from pathlib import Path

_KINDS = (".safetensors", ".bin")  # in the order in which transformers looks


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder, of the kind that transformers loads where there are several."""
    for kind in _KINDS:
        if found := sorted(path for path in folder.glob(f"*{kind}") if path.is_file()):
            return found
    return []


def weight_file_bytes(folder: Path) -> int | None:
    """The bytes of a checkpoint's weight files together; None where there are none."""
    files = weight_files(folder) if folder.is_dir() else []
    return sum(path.stat().st_size for path in files) or None


def source_bytes(source: Path) -> int | None:
    """The bytes of a model's weight files: of a folder, or of a Hub id whose files are in the Hub's cache; or None."""
    if source.is_dir():
        return weight_file_bytes(source)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(source.as_posix(), "config.json")
    return weight_file_bytes(Path(config).parent) if isinstance(config, str) else None
