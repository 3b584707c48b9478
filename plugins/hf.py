"""Quantizers of other libraries, by transformers' configuration for them or by the library's own call.

transformers quantizes a model while it loads it, so a model is let go and loaded again, with the configuration: the one
door that these libraries share, and their checkpoints come with it. HQQ's is shut in transformers 5 ("will be supported
soon"), so that library is called itself.
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
    hookimpl,
    option,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_GROUP = 64  # weights that share a scale in HQQ and in torchao's 4 bits


@dataclass(frozen=True)
class LibraryScheme:
    """One way of a library's. `quantize` returns the model quantized, and may change the one that it is given.

    `batch_dependent`: whether activations are quantized by a look at the whole batch; `saved`: whether transformers
    writes and loads checkpoints of it.
    """

    package: str
    quantize: Callable[[PreTrainedModel], PreTrainedModel]
    batch_dependent: bool = False
    saved: bool = True


def _again(settings: Callable[[torch.dtype], Any]) -> Callable[[PreTrainedModel], PreTrainedModel]:
    """Load a model again from where it came from, on its device and in its dtype, with transformers' configuration."""

    def quantize(model: PreTrainedModel) -> PreTrainedModel:
        if not model.name_or_path:
            raise ModelError("this model was made in memory: transformers quantizes only what it can load")
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

    return _again(settings)


def _torchao(name: str, **arguments: Any) -> Callable[[PreTrainedModel], PreTrainedModel]:
    def settings(_: torch.dtype) -> Any:
        import torchao.quantization
        from transformers import TorchAoConfig

        return TorchAoConfig(getattr(torchao.quantization, name)(**arguments))

    return _again(settings)


def _int4(model: PreTrainedModel) -> PreTrainedModel:
    """torchao's 4 bits, whose kernel is for CUDA and bfloat16."""
    if model.device.type != "cuda" or str(model.dtype) != "torch.bfloat16":
        raise ModelError("torchao:int4wo needs --device cuda --dtype bfloat16")
    how = _torchao("Int4WeightOnlyConfig", group_size=_GROUP, int4_packing_format="tile_packed_to_4d")
    return how(model)


def _hqq(bits: int) -> Callable[[PreTrainedModel], PreTrainedModel]:
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
    "int8dq-int4w": LibraryScheme("torchao", _torchao("Int8DynamicActivationIntxWeightConfig")),
    "float8wo": LibraryScheme("torchao", _torchao("Float8WeightOnlyConfig")),
}


@dataclass(frozen=True)
class Hf:
    """Quantizers of bitsandbytes, HQQ and quanto, as they are."""

    name: ClassVar[str] = "hf"
    needs_calibration: ClassVar[bool] = False

    scheme: str = option("bnb-nf4", f"one of {', '.join(SCHEMES)}")

    def __post_init__(self) -> None:
        _find(self.name, self.scheme, SCHEMES)

    @property
    def batch_dependent(self) -> bool:
        """As the library is."""
        return SCHEMES[self.scheme].batch_dependent

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Quantize by the library's means. The given model's weights are let go."""
        return _run(self.name, SCHEMES[self.scheme], model)

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write the checkpoint as transformers does."""
        _save(f"hf:{self.scheme}", SCHEMES[self.scheme], model, folder)

    def checkpoint_readers(self) -> CheckpointReaders:
        """transformers, where the library is installed."""
        return CheckpointReaders(transformers=True, packages=(SCHEMES[self.scheme].package,))


@dataclass(frozen=True)
class TorchAo:
    """Quantizers of torchao, as they are."""

    name: ClassVar[str] = "torchao"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    scheme: str = option("int8wo", f"one of {', '.join(TORCHAO)}")

    def __post_init__(self) -> None:
        _find(self.name, self.scheme, TORCHAO)

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Quantize by the library's means. The given model's weights are let go."""
        return _run(self.name, TORCHAO[self.scheme], model)

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write the checkpoint as transformers does."""
        _save(f"torchao:{self.scheme}", TORCHAO[self.scheme], model, folder)

    def checkpoint_readers(self) -> CheckpointReaders:
        """transformers, where the library is installed."""
        return CheckpointReaders(transformers=True, packages=(TORCHAO[self.scheme].package,))


def _find(name: str, scheme: str, schemes: Mapping[str, LibraryScheme]) -> None:
    if scheme not in schemes:
        raise UnknownNameError(f"{name} scheme", scheme, schemes)


def _run(extra: str, scheme: LibraryScheme, model: PreTrainedModel) -> PreTrainedModel:
    """Raises MissingDependencyError for a package that is not there, and ModelError for what it cannot do."""
    try:
        importlib.metadata.version(scheme.package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependencyError(scheme.package, f"pip install 'qharness[{extra}]'") from None
    try:
        return scheme.quantize(model)
    except (ImportError, RuntimeError, ValueError, OSError, NotImplementedError, AssertionError) as error:
        line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(f"{scheme.package} could not quantize the model: {line}") from error


def _save(spec: str, scheme: LibraryScheme, model: PreTrainedModel, folder: Path) -> None:
    if not scheme.saved:
        raise ModelError(f"{spec} has no checkpoint form that transformers loads: it runs with `qharness run`")
    model.save_pretrained(folder)


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `hf` and `torchao`."""
    return [Hf, TorchAo]
