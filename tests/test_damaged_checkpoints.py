"""A checkpoint with a damaged file is refused in one line that names what is wrong and what to do, with exit code 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.test_cli import Cli, in_process, one_line
from tests.tiny_models import save_model

__all__ = ["in_process"]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("whole") / "model")


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, at: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:at])


def configure(**values: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def pickled(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        change(folder)

    return make


def sharded_without_one(folder: Path) -> None:
    names = load_file(folder / "model.safetensors").keys()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


DAMAGES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "weights are a pointer": (write("model.safetensors", POINTER), ("model.safetensors", "git lfs pull")),
    "tokenizer is a pointer": (write("tokenizer.json", POINTER), ("tokenizer.json", "git lfs pull")),
    "config is a pointer": (write("config.json", POINTER), ("config.json", "git lfs pull")),
    "truncated data": (cut("model.safetensors", -100), ("model.safetensors", "bytes", "download it again")),
    "truncated header": (cut("model.safetensors", 50), ("model.safetensors", "cut short", "download it again")),
    "no header": (write("model.safetensors", b"\x05" + bytes(7) + b"xxxxx"), ("header", "download it again")),
    "empty weights": (write("model.safetensors", b""), ("model.safetensors", "empty", "download it again")),
    "shard missing": (sharded_without_one, ("model-00002-of-00002.safetensors is missing", "index.json")),
    "unknown dtype": (configure(dtype="float17"), ("config.json", "'float17'", "PyTorch does not know")),
    "dtype is no name": (configure(torch_dtype=16), ("config.json", "16", "PyTorch does not know")),
    "sizes differ": (configure(intermediate_size=48), ("mlp.down_proj.weight", "[32, 64]", "[32, 48]")),
    "config is empty": (write("config.json", b""), ("config.json", "empty")),
    "config is no JSON": (write("config.json", b"{'a': 1"), ("config.json", "not JSON", "download it again")),
    "config is no object": (write("config.json", b"[1]"), ("config.json", "no JSON object")),
    "config has no type": (write("config.json", b"{}"), ("config.json", "model_type")),
    "tokenizer is no JSON": (write("tokenizer.json", b"{"), ("tokenizer.json", "not JSON")),
    "tokenizer is none": (write("tokenizer.json", b'{"model": 5}'), ("tokenizer",)),
    "pickle is cut": (pickled(cut("pytorch_model.bin", 900)), ("pytorch_model.bin", "cut short")),
    "pickle is none": (pickled(write("pytorch_model.bin", b"hello")), ("pytorch_model.bin", "no PyTorch")),
    "older pickle is broken": (pickled(write("pytorch_model.bin", b"\x80\x02hello")), ("could not be loaded",)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_one_line(damage: str, whole: Path, tmp_path: Path, in_process: Cli) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "damaged"))
    change, said = DAMAGES[damage]
    change(folder)
    done = in_process("quantize", "--model", str(folder), "--quant", "rtn:8", "--output", str(tmp_path / "out"))
    one_line(done, *said)
    assert not (tmp_path / "out").exists()
