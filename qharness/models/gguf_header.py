"""Reads the header of a GGUF file: its settings, and the name, shape and type of each tensor. No tensor is read.

The layout is that of GGUF versions 2 and 3, little-endian: magic, version, numbers of tensors and settings; settings as
(key, type, value); tensors as (name, dimensions, type, offset); the tensors' data, aligned.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from qharness.errors import MissingDependencyError, ModelError
from qharness.models.checkpoint_files import AGAIN, check_content

_MAGIC, _VERSIONS, _ALIGNMENT = b"GGUF", (2, 3), 32
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9  # types of settings besides numbers
_MOST_DIMENSIONS = 4
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class GgufTensor:
    """One tensor: its shape, a row last; `kind`, the name of its type in ggml; its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    kind: str
    n_bytes: int

    @property
    def weights(self) -> int:
        """The number of its values."""
        return prod(self.shape)

    @property
    def code_bits(self) -> int:
        """The bits of a value's code alone, without scales: the first number in its type's name."""
        found = _NUMBER.search(self.kind)
        return int(found[0]) if found else 8 * self.n_bytes // self.weights


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself. `lengths`: of the settings that are arrays, whose elements are not kept."""

    path: Path
    settings: Mapping[str, str | int | float]
    lengths: Mapping[str, int]
    tensors: tuple[GgufTensor, ...]
    file_bytes: int

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture."""
        return str(self.settings["general.architecture"])

    @property
    def position_settings(self) -> tuple[str, ...]:
        """The names of settings and tensors that change positions beyond a first length, of all but gpt-oss.

        transformers reads them of gpt-oss alone.
        """
        scaling = f"{self.architecture}.rope.scaling.type"
        if self.architecture.startswith("gpt-oss"):
            return ()
        settings = [scaling] if self.settings.get(scaling, "none") != "none" else []
        return (
            *settings,
            *(each.name for each in self.tensors if each.name.startswith(("rope_freqs", "rope_factors"))),
        )

    @property
    def type_bytes(self) -> dict[str, int]:
        """Bytes of the tensors by type, the largest first."""
        found: dict[str, int] = {}
        for tensor in self.tensors:
            found[tensor.kind] = found.get(tensor.kind, 0) + tensor.n_bytes
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def read_header(path: Path) -> GgufHeader:
    """Read a file's header. Raises ModelError for a file that is damaged, cut short, or of another kind or version.

    Raises ModelError for one of several files of a model, too, and MissingDependencyError without the package `gguf`.
    """
    require_gguf()
    check_content(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _parse(path, _Cursor(content, path))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None


def require_gguf() -> None:
    """Raise MissingDependencyError where the package `gguf` is missing."""
    try:
        import gguf  # noqa: F401
    except ImportError:
        raise MissingDependencyError("gguf, to read GGUF files,", "pip install 'qharness[gguf]'") from None


class _Cursor:
    """A place in a file's bytes, which moves on with each value read. Raises ModelError at the file's end."""

    def __init__(self, content: mmap.mmap, path: Path) -> None:
        self._content, self._path, self._size = content, path, len(content)
        self.position = 0

    def number(self, form: str) -> int | float:
        """Read a number of this form of `struct`."""
        begin = self.skip(struct.calcsize(form))
        value: int | float = struct.unpack_from(form, self._content, begin)[0]
        return value

    def count(self, form: str = "<Q", least_bytes: int = 1) -> int:
        """Read how many things follow, each of `least_bytes` or more: no more than the file has room for."""
        found = int(self.number(form))
        if found * least_bytes > self._size - self.position:
            raise self.damaged(f"it says that {found} values follow, and it ends before")
        return found

    def text(self) -> str:
        """Read a string. Raises ModelError where it is no UTF-8."""
        length = self.count()
        begin = self.skip(length)
        try:
            return self._content[begin : begin + length].decode()
        except UnicodeDecodeError:
            raise self.damaged("a name in it is no text") from None

    def skip(self, length: int) -> int:
        """Move on by so many bytes; return where they begin."""
        begin = self.position
        self.position += length
        if self.position > self._size:
            raise self.damaged("it ends in its header")
        return begin

    def skip_texts(self, count: int) -> None:
        """Move on by so many strings."""
        unpack, content, position, last = struct.Struct("<Q").unpack_from, self._content, self.position, self._size - 8
        for _ in range(count):
            if position > last:
                raise self.damaged("it ends in its header")
            position += 8 + unpack(content, position)[0]
        self.position = position
        self.skip(0)

    def damaged(self, why: str) -> ModelError:
        """The error for a file whose bytes make no sense here."""
        return ModelError(f"{self._path} is damaged or cut short, for {why}: {AGAIN}")


def _parse(path: Path, cursor: _Cursor) -> GgufHeader:
    """Read a file's header. Raises ModelError for another format or version, and for a file shorter than it says."""
    if (magic := struct.pack("<I", cursor.number("<I"))) != _MAGIC:
        raise ModelError(f"{path} is no GGUF file: it begins with {magic!r}, not {_MAGIC!r}")
    version = int(cursor.number("<I"))
    if version not in _VERSIONS:
        order = " of the other byte order" if version % 2**16 == 0 else ""
        raise ModelError(
            f"{path} is GGUF{order} version {version}; versions {_VERSIONS} in little-endian order are read"
        )
    n_tensors, n_settings = cursor.count(least_bytes=24), cursor.count(least_bytes=13)
    settings: dict[str, str | int | float] = {}
    lengths: dict[str, int] = {}
    for _ in range(n_settings):
        _read_setting(cursor, settings, lengths)
    if not isinstance(settings.get("general.architecture"), str):
        raise ModelError(f"{path} names no architecture (general.architecture): {AGAIN}")
    parts = settings.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise ModelError(f"{path} is one of {parts} files: join them with `llama-gguf-split --merge FIRST OUTPUT`")
    found = [(each, offset) for each, offset in _tensors(cursor, n_tensors)]
    alignment = settings.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise cursor.damaged(f"its alignment is {alignment}")
    begin = -(-cursor.position // alignment) * alignment
    expected = begin + max((offset + tensor.n_bytes for tensor, offset in found), default=0)
    size = path.stat().st_size
    if size < expected:
        raise ModelError(f"{path} has {size} bytes, not the {expected} that its header says: {AGAIN}")
    return GgufHeader(path, settings, lengths, tuple(tensor for tensor, _ in found), size)


def _read_setting(cursor: _Cursor, settings: dict[str, str | int | float], lengths: dict[str, int]) -> None:
    """Read one setting into `settings`, or the length of an array into `lengths`."""
    key = cursor.text()
    kind = int(cursor.number("<I"))
    if kind == _STRING:
        settings[key] = cursor.text()
    elif kind == _ARRAY:
        kind = int(cursor.number("<I"))
        lengths[key] = cursor.count()
        if kind == _STRING:
            cursor.skip_texts(lengths[key])
        elif kind in _SCALARS:
            cursor.skip(lengths[key] * struct.calcsize(_SCALARS[kind]))
        else:
            raise cursor.damaged(f"{key!r} is an array of the unknown type {kind}")
    elif kind in _SCALARS:
        settings[key] = cursor.number(_SCALARS[kind])
    else:
        raise cursor.damaged(f"{key!r} is of the unknown type {kind}")


def _tensors(cursor: _Cursor, count: int) -> Iterator[tuple[GgufTensor, int]]:
    """Yield each tensor with its place in the data. A row is cut into blocks, whose weights and bytes its type says."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for _ in range(count):
        name = cursor.text()
        dimensions = int(cursor.number("<I"))
        if dimensions > _MOST_DIMENSIONS:
            raise cursor.damaged(f"{name!r} has {dimensions} dimensions")
        shape = tuple(int(cursor.number("<Q")) for _ in range(dimensions))[::-1]
        number, offset = int(cursor.number("<I")), int(cursor.number("<Q"))
        if number not in {each.value for each in GGMLQuantizationType}:
            raise cursor.damaged(f"{name!r} is of the type {number}, which the package gguf does not know")
        kind = GGMLQuantizationType(number)
        block, size = GGML_QUANT_SIZES[kind]
        if shape and shape[-1] % block:
            raise cursor.damaged(f"a row of {name!r} has {shape[-1]} values, and blocks of {kind.name} have {block}")
        yield GgufTensor(name, shape, kind.name, prod(shape) // block * size), offset
