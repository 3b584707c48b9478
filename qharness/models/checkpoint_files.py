"""Checks a local checkpoint's files before they are loaded, so that one line names a damaged one; sums their bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from qharness.errors import ModelError

_POINTER = b"version https://git-lfs"
AGAIN = "download it again"
_SINGLE = ("model.safetensors", "pytorch_model.bin")  # in the order in which transformers looks, each before its index
_WEIGHT_SUFFIXES = (".safetensors", ".bin")  # in the same order
_TOKENIZER = (
    "tokenizer*.json",
    "vocab*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges*.txt",
    "*.model",
)


def check_config(folder: Path) -> None:
    """Raise ModelError for a config.json that holds no JSON object, or a dtype that PyTorch does not know."""
    path = folder / "config.json"
    for dtype in _dtypes(_read_object(path)):
        import torch

        if not (isinstance(dtype, str) and isinstance(getattr(torch, dtype, None), torch.dtype)):
            raise ModelError(f"{path} names the dtype {dtype!r}, which PyTorch does not know: correct it, or {AGAIN}")


def lacks_model_type(folder: Path) -> bool:
    """Whether a folder's config.json names no architecture."""
    return not isinstance(_read_object(folder / "config.json").get("model_type"), str)


def check_tokenizer(folder: Path) -> None:
    """Raise ModelError for a tokenizer file that is empty, a Git LFS pointer, or not the JSON that it should be."""
    for path in sorted({path for pattern in _TOKENIZER for path in folder.glob(pattern) if path.is_file()}):
        if path.suffix == ".json":
            _read_object(path)
        else:
            check_content(path)


def check_weights(folder: Path) -> None:
    """Raise ModelError for a weight file that is damaged or cut short, or that an index names and is missing."""
    for name in _SINGLE:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            _check_weight_file(folder / name)
            return
        if index.is_file():
            _check_shards(index)
            return


def _check_shards(index: Path) -> None:
    shards = _read_object(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise ModelError(f"{index} has no weight_map: {AGAIN}")
    for shard in sorted(set(shards.values())):
        path = index.parent / shard
        if not path.is_file():
            raise ModelError(f"{path} is missing, which {index.name} names: download it")
        _check_weight_file(path)


def _check_weight_file(path: Path) -> None:
    check_content(path)
    if path.suffix == ".safetensors":
        _check_safetensors(path)
        return
    with path.open("rb") as file:
        begin = file.read(2)
    if begin[:1] != b"\x80" and not zipfile.is_zipfile(path):  # the older format is a pickle, the newer one a ZIP file
        what = "is cut short" if begin == b"PK" else "is no PyTorch checkpoint"
        raise ModelError(f"{path} {what}: {AGAIN}")


def _check_safetensors(path: Path) -> None:
    """Raise ModelError if a file does not end where, by its header, its last tensor ends."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if 8 + length <= size else None
    if header is None:
        raise ModelError(f"{path} is cut short, or no safetensors file: {AGAIN}")
    try:
        tensors = json.loads(header)
        ends = [int(tensor["data_offsets"][1]) for name, tensor in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise ModelError(f"{path} is no safetensors file, for its header is damaged: {AGAIN}") from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise ModelError(f"{path} has {size} bytes, not the {expected} that its header says: {AGAIN}")


def check_content(path: Path) -> None:
    """Raise ModelError for a file that is empty, or a Git LFS pointer."""
    with path.open("rb") as file:
        begin = file.read(len(_POINTER))
    if not begin:
        raise ModelError(f"{path} is empty: {AGAIN}")
    if begin == _POINTER:
        raise ModelError(f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder")


def _read_object(path: Path) -> Mapping[str, object]:
    check_content(path)
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not JSON: {AGAIN}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no JSON object: {AGAIN}")
    return found


def _dtypes(config: Mapping[str, object]) -> Iterator[object]:
    """The dtypes that a configuration and the configurations inside it name."""
    for key, value in config.items():
        if key in ("dtype", "torch_dtype") and value is not None and not isinstance(value, dict):
            yield value
        elif key.endswith("_config") and key != "quantization_config" and isinstance(value, dict):
            yield from _dtypes(value)


def weight_file_bytes(folder: Path) -> int | None:
    """The bytes of the weight files that transformers loads from a folder; None where there are none."""
    for suffix in _WEIGHT_SUFFIXES:
        if sizes := [path.stat().st_size for path in folder.glob(f"*{suffix}") if path.is_file()]:
            return sum(sizes) or None
    return None


def source_bytes(source: Path) -> int | None:
    """The bytes of a model's weight files: of a folder, a GGUF file, or an id that is in the Hub's cache; or None."""
    if source.is_file():
        return source.stat().st_size
    if source.is_dir():
        return weight_file_bytes(source)
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(source.as_posix(), "config.json")
    return weight_file_bytes(Path(config).parent) if isinstance(config, str) else None
