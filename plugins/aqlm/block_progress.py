"""A cache of finished blocks on disk, from which a quantization that was killed goes on, and a count of its steps."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from qharness import Calibration, cache_path, whole_file

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAMPLE = 4096
_SHA256 = "sha256"


def fingerprint(model: PreTrainedModel, calibration: Calibration, about: Mapping[str, Any]) -> str:
    """Hash a quantization: the model, its calibration and `about` (options, seed, versions), to 24 hexadecimal digits.

    A weight counts by its name, dtype, shape, sum and some thousand of its values: a large model costs seconds.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    digest.update(json.dumps(model.config.to_dict(), sort_keys=True, default=str).encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.device.type}".encode())
        flat = tensor.detach().flatten()
        sample = flat[:: max(len(flat) // _SAMPLE, 1)].double()
        digest.update(sample.cpu().numpy().tobytes())
        digest.update(str(float(flat.sum(dtype=torch.float64))).encode())
    for sequence in calibration.sequences:
        digest.update(sequence.numpy().tobytes() + b"|")
    return digest.hexdigest()[:24]


@dataclass(frozen=True)
class PartCache:
    """A folder of finished parts, one file each, written whole or not at all. `log` gets a line for a damaged part."""

    folder: Path
    log: Callable[[str], None] = lambda _: None

    @classmethod
    def of(cls, key: str, log: Callable[[str], None]) -> PartCache:
        """Return the cache of the quantization with this fingerprint."""
        return cls(cache_path("aqlm", key, inside=True), log)

    def read(self, name: str) -> dict[str, Tensor] | None:
        """Read a part to the CPU. Returns None if it is not there, or is damaged; a damaged part is deleted."""
        from safetensors import SafetensorError, safe_open

        path = self._path(name)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                part: dict[str, Tensor] = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
                written = (file.metadata() or {}).get(_SHA256)
        except (SafetensorError, OSError, ValueError) as error:
            self._delete(path, str(error))
            return None
        if written != _digest(part):
            self._delete(path, "its sha256 is another than when it was written")
            return None
        return part

    def _delete(self, path: Path, why: str) -> None:
        self.log(f"aqlm: {path} is damaged and is made again: {why}")
        path.unlink(missing_ok=True)

    def write(self, name: str, part: Mapping[str, Tensor]) -> None:
        """Write a part, with its hash."""
        from safetensors.torch import save

        whole = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in part.items()}
        content = save(whole, {_SHA256: _digest(whole)})
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(self._path(name)) as scratch:
            scratch.touch(mode=0o600)
            scratch.write_bytes(content)

    @contextmanager
    def told_when_stopped(self, total: int) -> Iterator[None]:
        """On Ctrl-C, say in the exception how many blocks, of `total`, are in the cache."""
        try:
            yield
        except KeyboardInterrupt as error:
            if done := len(list(self.folder.glob("block-*"))):
                error.add_note(f"aqlm: {done} of {total} blocks are kept in {self.folder}")
            raise

    def remove(self) -> None:
        """Delete all parts, once the model is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def _digest(part: Mapping[str, Tensor]) -> str:
    """Hash tensors with their names, dtypes and shapes."""
    digest = hashlib.sha256()
    for name in sorted(part):
        tensor = part[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass
class Steps:
    """Counts a quantization's steps (a layer, an epoch of tuning) for `report(done, total)`."""

    report: Callable[[int, int], None]
    total: int
    done: int = 0

    def take(self, count: int = 1) -> None:
        """Count steps as done."""
        self.done += count
        self.report(self.done, self.total)

    def drop(self, count: int) -> None:
        """Count steps as not to be done: those of a part that was done before, or an epoch that is not needed."""
        self.total -= count
        self.report(self.done, self.total)
