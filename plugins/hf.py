"""Quantizers of other libraries, called through transformers' configuration for them or directly.

transformers quantizes a model while it loads it, so the model is freed and loaded again with the configuration. These
libraries share this interface, and it gives their checkpoints too. transformers 5 refuses HQQ's configuration ("will be
supported soon"), so HQQ is called directly.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qharness import (
    CheckpointReaders,
    MissingDependencyError,
    ModelError,
    QuantizationContext,
    Quantizer,
    UnknownNameError,
    first_line,
    hookimpl,
    option,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel

_GROUP = 64  # weights that share a scale in HQQ and in torchao's 4 bits


@dataclass(frozen=True)
class LibraryScheme:
    """One method of a library. `quantize` returns the quantized model, and may change the given one.

    `batch_dependent`: whether activations are quantized by a range of the whole batch; `saved`: whether transformers
    writes and loads checkpoints of it.
    """

    package: str
    quantize: Callable[[PreTrainedModel], PreTrainedModel]
    batch_dependent: bool = False
    saved: bool = True


def _again(settings: Callable[[torch.dtype], Any]) -> Callable[[PreTrainedModel], PreTrainedModel]:
    """Return a function that loads a model again, on its device and in its dtype, with a library's configuration."""

    def quantize(model: PreTrainedModel) -> PreTrainedModel:
        if not model.name_or_path:
            raise ModelError(
                "transformers quantizes only what it loads from a folder, and this model was made in memory or is of "
                "a GGUF file: `qharness quantize --quant none` writes a folder"
            )
        source, kind, dtype, device = model.name_or_path, type(model), model.dtype, model.device
        how = settings(dtype)
        model.to("meta")  # type: ignore[arg-type]  # frees the weights
        loaded: PreTrainedModel = kind.from_pretrained(
            source, quantization_config=how, dtype=dtype, device_map={"": device}
        )
        return loaded

    return quantize


def _bnb(**arguments: Any) -> Callable[[PreTrainedModel], PreTrainedModel]:
    def settings(dtype: torch.dtype) -> Any:
        from transformers import BitsAndBytesConfig

        more = {"bnb_4bit_compute_dtype": dtype} if arguments.get("load_in_4bit") else {}
        return BitsAndBytesConfig(**arguments, **more)

    return _again(settings)


def _quanto(weights: str) -> Callable[[PreTrainedModel], PreTrainedModel]:
    def settings(_: torch.dtype) -> Any:
        from transformers import QuantoConfig

        return QuantoConfig(weights=weights)

    def quantize(model: PreTrainedModel) -> PreTrainedModel:
        made = _again(settings)(model)
        for module in made.modules():
            if type(module).__module__.startswith("optimum.quanto"):
                _leave_inference_mode(module)
        return made

    return quantize


def _leave_inference_mode(module: nn.Module) -> None:
    """Have a module run with gradients off in another way: quanto's unpacked weights cannot be made in that mode."""
    forward = module.forward

    def outside(x: Tensor) -> Tensor:
        import torch

        with torch.inference_mode(False), torch.no_grad():
            return forward(x)  # type: ignore[no-any-return]

    module.forward = outside


def _torchao(name: str, **arguments: Any) -> Callable[[PreTrainedModel], PreTrainedModel]:
    def settings(_: torch.dtype) -> Any:
        import torchao.quantization
        from transformers import TorchAoConfig

        return TorchAoConfig(getattr(torchao.quantization, name)(**arguments))

    return _again(settings)


def _int4(model: PreTrainedModel) -> PreTrainedModel:
    """Quantize by torchao's 4 bits, whose kernel needs CUDA and bfloat16."""
    if model.device.type != "cuda" or str(model.dtype) != "torch.bfloat16":
        raise ModelError("torchao:int4wo needs --device cuda --dtype bfloat16")
    how = _torchao("Int4WeightOnlyConfig", group_size=_GROUP, int4_packing_format="tile_packed_to_4d")
    return how(model)


def _int8_int4(model: PreTrainedModel) -> PreTrainedModel:
    """Quantize weights to 4 bits in groups of 32, and activations to int8; the weights stay a byte each.

    The default of torchao's class is int8 for both.
    """
    import torch

    four_bits: torch.dtype = torch.int4  # type: ignore[attr-defined]
    return _torchao("Int8DynamicActivationIntxWeightConfig", weight_dtype=four_bits)(model)


def _hqq(bits: int) -> Callable[[PreTrainedModel], PreTrainedModel]:
    """Return a function that replaces the blocks' Linears by HQQ's, in place."""

    def quantize(model: PreTrainedModel) -> PreTrainedModel:
        from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

        from qharness import block_linears, replace_module

        settings = BaseQuantizeConfig(nbits=bits, group_size=_GROUP, axis=1)
        for name in list(block_linears(model)):
            linear = model.get_submodule(name)
            new = HQQLinear(linear, settings, compute_dtype=linear.weight.dtype, device=str(model.device))
            new.packed_bytes = sum(getattr(value, "nbytes", 0) for value in new.meta.values())  # beside its parameters
            replace_module(model, name, new)
        return model

    return quantize


SCHEMES: Mapping[str, LibraryScheme] = {
    "bnb-nf4": LibraryScheme("bitsandbytes", _bnb(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
    "bnb-fp4": LibraryScheme("bitsandbytes", _bnb(load_in_4bit=True, bnb_4bit_quant_type="fp4")),
    # A column in which any row of the batch has a great value is multiplied in 16 bits, for all rows.
    "bnb-int8": LibraryScheme("bitsandbytes", _bnb(load_in_8bit=True), batch_dependent=True),
    **{f"hqq-{bits}": LibraryScheme("hqq", _hqq(bits), saved=False) for bits in (8, 4, 3, 2, 1)},
    **{
        f"quanto-{kind}": LibraryScheme("optimum-quanto", _quanto(kind), saved=False)
        for kind in ("int8", "int4", "int2")
    },
}
TORCHAO: Mapping[str, LibraryScheme] = {
    "int8wo": LibraryScheme("torchao", _torchao("Int8WeightOnlyConfig")),
    "int8dq": LibraryScheme("torchao", _torchao("Int8DynamicActivationInt8WeightConfig")),
    "int4wo": LibraryScheme("torchao", _int4),
    "int8dq-int4w": LibraryScheme("torchao", _int8_int4),
    "float8wo": LibraryScheme("torchao", _torchao("Float8WeightOnlyConfig")),
}


class _LibraryQuantizer:
    """What `hf` and `torchao` do alike. `schemes` are those that the option `scheme` chooses from."""

    name: ClassVar[str]
    needs_calibration: ClassVar[bool] = False
    schemes: ClassVar[Mapping[str, LibraryScheme]]
    scheme: str

    def __post_init__(self) -> None:
        if self.scheme not in self.schemes:
            raise UnknownNameError(f"{self.name} scheme", self.scheme, self.schemes)

    @property
    def batch_dependent(self) -> bool:
        """Whether the library quantizes activations by a range of the whole batch."""
        return self.schemes[self.scheme].batch_dependent

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Quantize with the library. The given model's weights are freed."""
        return _run(self.name, self.schemes[self.scheme], model)

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write the checkpoint as transformers does."""
        if not self.schemes[self.scheme].saved:
            spec = f"{self.name}:{self.scheme}"
            raise ModelError(f"{spec} has no checkpoint form that transformers loads: it runs with `qharness run`")
        model.save_pretrained(folder)

    def checkpoint_readers(self) -> CheckpointReaders:
        """Say that transformers loads it where the library is installed."""
        return CheckpointReaders(transformers=True, packages=(self.schemes[self.scheme].package,))


@dataclass(frozen=True)
class Hf(_LibraryQuantizer):
    """Quantizers of bitsandbytes, HQQ and quanto, as they are."""

    name: ClassVar[str] = "hf"
    schemes: ClassVar[Mapping[str, LibraryScheme]] = SCHEMES

    scheme: str = option("bnb-nf4", f"one of {', '.join(SCHEMES)}")


@dataclass(frozen=True)
class TorchAo(_LibraryQuantizer):
    """Quantizers of torchao, as they are."""

    name: ClassVar[str] = "torchao"
    revision: ClassVar[int] = 2  # int8dq-int4w had 8 bits
    schemes: ClassVar[Mapping[str, LibraryScheme]] = TORCHAO

    scheme: str = option("int8wo", f"one of {', '.join(TORCHAO)}")


def _run(extra: str, scheme: LibraryScheme, model: PreTrainedModel) -> PreTrainedModel:
    """Quantize; raise MissingDependencyError if the package is missing, and ModelError if it fails."""
    try:
        importlib.metadata.version(scheme.package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(scheme.package, f"pip install 'qharness[{extra}]'") from None
    try:
        return scheme.quantize(model)
    except (ImportError, RuntimeError, ValueError, OSError, NotImplementedError, AssertionError) as error:
        raise ModelError(f"{scheme.package} could not quantize the model: {first_line(error)}") from error


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `hf` and `torchao`."""
    return [Hf, TorchAo]
