"""Loads a causal or encoder-decoder model with its tokenizer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Literal

from qharness.errors import ModelError, first_line
from qharness.models.checkpoint import Checkpoint, find_preset, locate, refuse_own_code
from qharness.models.checkpoint_files import check_tokenizer, check_weights
from qharness.models.checkpoint_formats import WeightFootprint, check_loads, find_format, quant_method
from qharness.models.conventions import follow
from qharness.models.gguf_tokenizer import cut_as_stated
from qharness.models.presets import convention_of
from qharness.models.relayed_bars import transformers_bars_sent_to
from qharness.models.untouched import Untouched
from qharness.progress import detail, note, phase

if TYPE_CHECKING:
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

DType = Literal["auto", "float32", "bfloat16", "float16"]
_TOKENIZER = ("tokenizer", "vocab", "spiece", "sentencepiece", "merges")


@dataclass
class LoadedModel:
    """A model with its tokenizer. `model` is replaced by its quantized form in place.

    `footprint`: its bytes and the kernels of its quantized layers, once chosen. `device`: where it will run, if it is
    not there yet. `untouched`: the part that its quantizer left in full precision; None if it is not quantized.
    `remarks`: what a reader of its figures must know of the form of its weights.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    footprint: WeightFootprint | None = None
    device: torch.device | None = None
    untouched: Untouched | None = None
    remarks: Sequence[str] = ()

    def place(self) -> None:
        """Move the model to the device where it will run."""
        if self.device is not None:
            self.model.to(self.device)  # type: ignore[arg-type]
            self.device = None


def resolve_device(device: str) -> torch.device:
    """`auto` is CUDA where there is one; raise ModelError for a CUDA that is not there."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("--device cuda: this PyTorch sees no CUDA device; use --device cpu")
    try:
        return torch.device(device)
    except RuntimeError:
        raise ModelError(f"device {device!r} is none that PyTorch knows: auto, cpu or cuda") from None


def resolve_dtype(dtype: str, device: torch.device, model: str = "") -> torch.dtype | Literal["auto"]:
    """`auto` is float32 on a CPU, where half precision is slow; elsewhere a preset's, or else the checkpoint's own."""
    import torch

    dtype = dtype if device.type == "cpu" else preset_dtype(dtype, model)
    if dtype != "auto":
        resolved = getattr(torch, dtype, None)
        if not isinstance(resolved, torch.dtype):
            raise ModelError(f"dtype {dtype!r} is none that PyTorch knows: auto, float32, bfloat16 or float16")
        return resolved
    return torch.float32 if device.type == "cpu" else "auto"


def own_dtype(checkpoint: Checkpoint, dtype: str = "auto") -> torch.dtype:
    """A dtype by its name; `auto` is a preset's, or the one its configuration names, or float32 if it names none."""
    import torch

    dtype = preset_dtype(dtype, checkpoint.name)
    own = getattr(checkpoint.config, "dtype", None) if dtype == "auto" else dtype
    found: torch.dtype = own if isinstance(own, torch.dtype) else getattr(torch, own or "float32")
    return found


def preset_dtype(dtype: str, model: str) -> str:
    """A preset's dtype for `auto`; any other stays as it is."""
    preset = find_preset(model)
    return preset.dtype if preset and dtype == "auto" else dtype


def load_model(
    model: str | Checkpoint,
    device: str = "auto",
    dtype: str = "auto",
    parent: str | None = None,
    *,
    placed: bool = True,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a Hugging Face id, a local folder, a GGUF file or `tinycoder`; causal or encoder-decoder, as configured.

    It may be quantized already, in any way that transformers loads; of a GGUF file, the weights that its codes stand
    for are loaded, as numbers. `parent`: whose tokenizer to take if it has none.
    `placed` false: a model that is not quantized stays on the CPU until `place` is called. transformers maps weights
    that keep their checkpoint's dtype from their files, so such a model takes no memory until it is used. A Checkpoint
    says itself whether its code is trusted.
    Raises ModelError in one line for a name of no model, and for a checkpoint that lacks weights.
    """
    import torch
    from safetensors import SafetensorError

    checkpoint = model if isinstance(model, Checkpoint) else Checkpoint(model, trust_remote_code)
    name, config = checkpoint.name, checkpoint.config
    if checkpoint.source.is_dir():
        check_weights(checkpoint.source)
    where = resolve_device(device)
    own = find_format(config)
    later = not placed and quant_method(config) is None
    found = resolve_dtype(dtype, where, name)

    def load(source: str, config: PretrainedConfig) -> PreTrainedModel:
        here = torch.device("cpu") if later else where
        return _from_pretrained(source, config, here, found, checkpoint.trust_remote_code, checkpoint.gguf_file)

    source, config = checkpoint.folder, copy.deepcopy(config)
    try:
        with _shown_loading(checkpoint):
            loaded = own.load(source, config, load) if own else load(source, config)
    except (
        OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError, UnpicklingError, EOFError
    ) as error:  # fmt: skip
        refuse_own_code(name, error)
        raise ModelError(f"model {name!r} could not be loaded: {first_line(error)}") from None
    tokenizer = load_tokenizer(checkpoint, parent)
    follow(loaded, tokenizer)
    detail(f"loaded: {name}, {loaded.num_parameters() / 1e6:.1f} million parameters, {loaded.dtype}, {where}")
    return LoadedModel(loaded.eval(), tokenizer, name, device=where if later else None, remarks=checkpoint.remarks)


@contextmanager
def _shown_loading(checkpoint: Checkpoint) -> Iterator[None]:
    """Show the phase of loading. While the Hub's files may still have to be fetched, its own bars show that instead."""
    if not checkpoint.source.is_dir():
        yield
        return
    with phase("load", "weights") as progress, transformers_bars_sent_to(progress):
        yield


def model_class(config: PretrainedConfig) -> type[AutoModelForCausalLM] | type[AutoModelForSeq2SeqLM]:
    """transformers' class that makes causal models, or encoder-decoder ones."""
    import transformers

    return transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM


def _from_pretrained(
    source: str,
    config: PretrainedConfig,
    where: torch.device,
    dtype: torch.dtype | Literal["auto"],
    trust_remote_code: bool,
    gguf: Path | None,
) -> PreTrainedModel:
    """Load with transformers; raise ValueError for weights that it would make up. `gguf`: the file in the folder."""
    import transformers

    check_loads(config)
    quantized = quant_method(config) is not None  # such a model may refuse to be moved
    with _reading(gguf) as options:
        model, found = model_class(config).from_pretrained(  # type: ignore[misc]
            source,
            config=config,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=not quantized,  # they are refused below, by name
            trust_remote_code=trust_remote_code,
            **({"device_map": {"": where}} if quantized else {}),
            **({"quantization_config": transformers.GgufConfig(dequantize=True)} if gguf else {}),
            **options,
        )
    if missing := sorted(found["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"its checkpoint has no {missing[0]}{more}")
    if not quantized and (mismatched := sorted(found["mismatched_keys"])):
        key, has, wanted = mismatched[0]
        asks = "its header" if gguf else "config.json"
        raise ValueError(f"its checkpoint's {key} has the shape {list(has)}, and {asks} asks for {list(wanted)}")
    loaded: PreTrainedModel = model if quantized else model.to(where)
    if gguf:
        _forget_file(loaded)
    return loaded


def _forget_file(model: PreTrainedModel) -> None:
    """Take a GGUF file's traces from a model: its folder may hold another model, and its weights are numbers."""
    model.config.name_or_path = ""
    for module in model.modules():
        if "name_or_path" in vars(module):
            vars(module)["name_or_path"] = ""
    vars(model).pop("is_quantized", None)


def _reading(gguf: Path | None) -> AbstractContextManager[Mapping[str, object]]:
    """Inside, transformers reads a GGUF file if it is given the options that are yielded; of None, there are none."""
    if gguf is None:
        return nullcontext({})
    from qharness.models.gguf_loading import reading_gguf

    return reading_gguf(gguf)


def tokenizer_source(checkpoint: Checkpoint, parent: str | None = None) -> Path:
    """The folder or id of a model's tokenizer: its parent's, where it has none and a parent is named."""
    source = checkpoint.source
    if parent and not _has_tokenizer(checkpoint):
        note(f"model {checkpoint.name!r} has no tokenizer: that of {parent!r} is used")
        return locate(parent)
    return source


def _has_tokenizer(checkpoint: Checkpoint) -> bool:
    """Whether a local checkpoint brings a tokenizer; of an id of the Hub, it is taken to do so."""
    if checkpoint.gguf_header:
        return "tokenizer.ggml.tokens" in checkpoint.gguf_header.lengths
    source = checkpoint.source
    return not source.is_dir() or any(path.name.startswith(_TOKENIZER) for path in source.iterdir())


def load_tokenizer(checkpoint: Checkpoint, parent: str | None = None) -> PreTrainedTokenizerBase:
    """A model's tokenizer, or its parent's, from `tokenizer_source`. Raises ModelError."""
    import transformers

    source = tokenizer_source(checkpoint, parent)
    own = source == checkpoint.source
    if source.is_dir():
        check_tokenizer(source)
    try:
        with _reading(checkpoint.gguf_file if own else None) as options:
            tokenizer: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
                checkpoint.folder if own else source.as_posix(),
                config=checkpoint.config if own else None,  # else it would be loaded again
                trust_remote_code=checkpoint.trust_remote_code,
                **convention_of(source.as_posix()).tokenizer,
                **options,
            )
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, ImportError, KeyError)):
            raise  # `tokenizers` raises Exception itself for a file that is no tokenizer
        refuse_own_code(checkpoint.name, error)
        raise ModelError(f"tokenizer of {checkpoint.name!r} could not be loaded: {first_line(error)}") from None
    if own and checkpoint.gguf_header:
        cut_as_stated(tokenizer, checkpoint.gguf_header)
    return tokenizer
