"""Loads a causal or encoder-decoder model with its tokenizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Literal

from qharness.bounds import shortened
from qharness.errors import ModelError, first_line
from qharness.models.checkpoint_files import check_config, check_tokenizer, check_weights, lacks_model_type
from qharness.models.checkpoint_formats import WeightFootprint, check_loads, find_format, quant_method
from qharness.models.conventions import follow, mark
from qharness.models.presets import PRESETS, Preset, convention_of, hint
from qharness.models.untouched import Untouched
from qharness.progress import note
from qharness.specs import DEFAULT_MODEL

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
BUNDLED = {DEFAULT_MODEL: Path(__file__).parent / "tinycoder"}
_TOKENIZER = ("tokenizer", "vocab", "spiece", "sentencepiece", "merges")
_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt")


@dataclass
class LoadedModel:
    """A model with its tokenizer. `model` is replaced by its quantized form in place.

    `footprint`: what its weights take and how its quantized layers run, once that is settled. `device`: where it is to
    run, if it is not there yet. `untouched`: what its quantizer left in full precision; None if it is not quantized.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    footprint: WeightFootprint | None = None
    device: torch.device | None = None
    untouched: Untouched | None = None

    def place(self) -> None:
        """Move the model to where it is to run."""
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


def own_dtype(config: PretrainedConfig, dtype: str = "auto") -> torch.dtype:
    """A dtype by its name; `auto` is the one a checkpoint's configuration names, float32 where it names none."""
    import torch

    own = getattr(config, "dtype", None) if dtype == "auto" else dtype
    found: torch.dtype = own if isinstance(own, torch.dtype) else getattr(torch, own or "float32")
    return found


def preset_dtype(dtype: str, model: str) -> str:
    """A preset's dtype for `auto`; any other stays as it is."""
    preset = find_preset(model)
    return preset.dtype if preset and dtype == "auto" else dtype


def find_preset(name: str) -> Preset | None:
    """The preset of that name; a folder that is called so goes first. Raises ModelError for what no model is called."""
    try:
        return None if Path(name).is_dir() else PRESETS.get(name)
    except (OSError, ValueError):  # of a name that is too long for any folder, or has a null character
        raise ModelError(f"model {shortened(name)}: no model can have such a name") from None


def locate(name: str) -> Path:
    """The bundled model's folder, or `name` as a path; one that does not exist may be an id of the Hub's.

    Of a preset, its id.
    """
    preset = find_preset(name)
    return BUNDLED.get(name) or (Path(preset.id) if preset else Path(name).expanduser())


def load_config(name: str, trust_remote_code: bool = False) -> PretrainedConfig:
    """A model's configuration; raise ModelError, in one line, if `name` is no model."""
    from transformers import AutoConfig

    folder = locate(name)
    if folder.exists() and not (folder / "config.json").is_file():
        raise ModelError(f"model {name!r} is no model: {folder / 'config.json'} is missing")
    if not folder.exists() and _is_path(name):
        raise ModelError(f"model {name!r}: there is no such folder")
    if folder.exists():
        check_config(folder)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder.as_posix(), trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _refuse_own_code(name, error)
        if folder.exists() and lacks_model_type(folder):
            raise ModelError(f"{folder / 'config.json'} has no model_type: download it again") from None
        raise ModelError(f"model {name!r} could not be loaded: {first_line(error)}{hint(name)}") from None
    mark(config, folder.as_posix())
    return config


def check_checkpoint(name: str, trust_remote_code: bool = False) -> PretrainedConfig:
    """A model's configuration; raise ModelError for what `load_model` would refuse without looking at a tensor."""
    config = load_config(name, trust_remote_code)
    if locate(name).is_dir():
        check_weights(locate(name))
        check_tokenizer(locate(name))
    return config


def is_at_hand(name: str) -> bool:
    """Whether a model can be told right or wrong without the Hub: a folder, or a path that leads nowhere."""
    return locate(name).exists() or _is_path(name)


def _is_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or name.count("/") > 1


def _refuse_own_code(name: str, error: Exception) -> None:
    """Raise ModelError where what transformers asks for is leave to run a checkpoint's own code."""
    if "trust_remote_code" in str(error):
        raise ModelError(
            f"model {name!r} needs Python code from its checkpoint: read it, then allow it with --trust-remote-code"
        ) from None


def load_model(
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    parent: str | None = None,
    *,
    placed: bool = True,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a Hugging Face id, a local folder or `tinycoder`; causal or encoder-decoder, as its configuration says.

    It may be quantized already, in any way that transformers loads. `parent`: whose tokenizer to take if it has none.
    `placed` false: a model that is not quantized stays on the CPU until `place` is called. transformers maps weights
    that keep their checkpoint's dtype from their files, so such a model takes no memory until it is used.
    Raises ModelError in one line for what is no model, and for one whose checkpoint lacks weights.
    """
    import torch
    from safetensors import SafetensorError

    config = load_config(name, trust_remote_code)
    if locate(name).is_dir():
        check_weights(locate(name))
    where = resolve_device(device)
    own = find_format(config)
    source = locate(name).as_posix()
    later = not placed and quant_method(config) is None
    found = resolve_dtype(dtype, where, name)

    def load(source: str, config: PretrainedConfig) -> PreTrainedModel:
        return _from_pretrained(source, config, torch.device("cpu") if later else where, found, trust_remote_code)

    try:
        model = own.load(source, config, load) if own else load(source, config)
    except (
        OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError, UnpicklingError, EOFError
    ) as error:  # fmt: skip
        _refuse_own_code(name, error)
        raise ModelError(f"model {name!r} could not be loaded: {first_line(error)}") from None
    tokenizer = load_tokenizer(name, parent, trust_remote_code)
    follow(model, tokenizer)
    return LoadedModel(model.eval(), tokenizer, name, device=where if later else None)


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
) -> PreTrainedModel:
    """transformers' own loading; ValueError for weights that it would make up."""
    check_loads(config)
    quantized = quant_method(config) is not None  # such a model may refuse to be moved
    model, found = model_class(config).from_pretrained(  # type: ignore[misc]
        source,
        config=config,
        dtype=dtype,
        output_loading_info=True,
        ignore_mismatched_sizes=not quantized,  # they are refused below, by name
        trust_remote_code=trust_remote_code,
        **({"device_map": {"": where}} if quantized else {}),
    )
    if missing := sorted(found["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"its checkpoint has no {missing[0]}{more}")
    if not quantized and (mismatched := sorted(found["mismatched_keys"])):
        key, has, wanted = mismatched[0]
        raise ValueError(f"its checkpoint's {key} has the shape {list(has)}, and config.json asks for {list(wanted)}")
    loaded: PreTrainedModel = model if quantized else model.to(where)
    return loaded


def tokenizer_source(name: str, parent: str | None = None) -> Path:
    """Where a model's tokenizer is: its parent's, where it has none and one is named."""
    source = locate(name)
    if parent and source.is_dir() and not any(path.name.startswith(_TOKENIZER) for path in source.iterdir()):
        note(f"model {name!r} has no tokenizer: that of {parent!r} is used")
        return locate(parent)
    return source


def load_tokenizer(name: str, parent: str | None = None, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """A model's tokenizer, or its parent's, as `tokenizer_source` has it. Raises ModelError."""
    import transformers

    source = tokenizer_source(name, parent)
    if source.is_dir():
        check_tokenizer(source)
    try:
        tokenizer: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
            source.as_posix(), trust_remote_code=trust_remote_code, **convention_of(source.as_posix()).tokenizer
        )
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, ImportError, KeyError)):
            raise  # `tokenizers` raises Exception itself for a file that is no tokenizer
        _refuse_own_code(name, error)
        raise ModelError(f"tokenizer of {name!r} could not be loaded: {first_line(error)}") from None
    return tokenizer


def short_name(name: str) -> str:
    """What files of a model are called after: its id, or its folder's own name."""
    folder = locate(name)
    return folder.resolve().name if folder.is_dir() else folder.as_posix()


def identity(name: str, trust_remote_code: bool = False) -> str:
    """What tells one model from another: an id, or a folder's path with the names, sizes and times of its files.

    Its Python files are among them where they are run.
    """
    folder = locate(name)
    if not folder.is_dir():
        return folder.as_posix()
    files = sorted(
        {path for pattern in (*_WEIGHTS, *(["*.py"] if trust_remote_code else [])) for path in folder.glob(pattern)}
    )
    stamp = "".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}\n" for p in files)
    return f"{folder.resolve()} {hashlib.sha256(stamp.encode()).hexdigest()}"
