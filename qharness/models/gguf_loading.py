"""Loads configuration, weights and tokenizer of a GGUF file through transformers, the weights in full precision."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFValueType, dequantize

from qharness.errors import ModelError, first_line
from qharness.models.gguf_header import GgufHeader
from qharness.models.replaced_names import replaced

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

_LONG = 1000  # elements of an array that is passed over: the vocabulary and what belongs to it
_FLOATS = {"BF16": "bfloat16", "F16": "float16"}  # a file without quantized tensors is of the first that it has
_UNSUPPORTED = ("not supported", "Unknown gguf model_type", "Unrecognized")


def gguf_config(header: GgufHeader) -> PretrainedConfig:
    """Make the configuration that a file's header describes. Raises ModelError for what transformers does not read."""
    from transformers import AutoConfig

    file = header.path
    _require_readable(header)
    with reading_gguf(file) as options:
        try:
            config: PretrainedConfig = AutoConfig.from_pretrained(file.parent, **options)
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            what = f"{file} is of the architecture {header.architecture!r}"
            if any(sign in str(error) for sign in _UNSUPPORTED):
                raise ModelError(f"{what}, which transformers does not read from GGUF files") from None
            raise ModelError(f"{what}, but its settings are not: {type(error).__name__}: {first_line(error)}") from None
    config.name_or_path = ""
    config.vocab_size = _vocabulary(header)
    config.dtype = _dtype(header)
    return config


def _require_readable(header: GgufHeader) -> None:
    """Raise ModelError for tensors of a type that the package `gguf` does not turn into numbers."""
    for kind in header.type_bytes:
        number = GGMLQuantizationType[kind]
        try:
            dequantize(np.zeros((1, GGML_QUANT_SIZES[number][1]), np.uint8), number)
        except NotImplementedError:
            raise ModelError(
                f"{header.path} has tensors of type {kind}, which the package gguf does not read"
            ) from None


def _vocabulary(header: GgufHeader) -> int:
    """The number of rows of the embeddings: more than the tokenizer has, where they are padded."""
    found = next((tensor.shape[0] for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    if found is None:
        raise ModelError(f"{header.path} has no token_embd.weight: it holds no language model")
    return found


def _dtype(header: GgufHeader) -> torch.dtype:
    """The dtype of a file that holds no quantized tensor; float32 of one that does."""
    import torch

    floats = set(header.type_bytes) <= {"F32", *_FLOATS}
    found: torch.dtype = getattr(
        torch, next((_FLOATS[k] for k in _FLOATS if floats and k in header.type_bytes), "float32")
    )
    return found


@contextmanager
def reading_gguf(file: Path) -> Iterator[Mapping[str, object]]:
    """Yield the options by which transformers' `from_pretrained` reads a file; inside, it reads fast and in silence.

    Two things make it slow: objects for each element of the vocabulary, and a map of the tensors' names made anew for
    each module. Both are of the package `gguf`, where transformers looks them up when it reads.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as reader
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with (
            replaced(reader, "tqdm", lambda items, **_: items),
            replaced(gguf, "GGUFReader", _LeanReader),
            replaced(gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
        ):
            yield {"gguf_file": file.name}
    finally:
        logging.set_verbosity(before)


class _LeanReader(GGUFReader):
    """The package's reader, but long arrays (the vocabulary) count as empty: it makes four objects of each element.

    For Gemma's 262,144 tokens that takes 17 seconds each time.
    """

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        """Pass over a long array: return its bytes, and no parts."""
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        content = self.data.data
        kind, count = struct.unpack_from("<IQ", content, orig_offs)
        if count < _LONG:
            return super()._get_field_parts(orig_offs, raw_type)
        place = orig_offs + struct.calcsize("<IQ")
        if kind == GGUFValueType.STRING:
            for _ in range(count):
                place += 8 + struct.unpack_from("<Q", content, place)[0]
        else:
            place += count * np.dtype(self.gguf_scalar_to_np[GGUFValueType(kind)]).itemsize
        return place - orig_offs, [], [], [GGUFValueType.ARRAY, GGUFValueType(kind)]
