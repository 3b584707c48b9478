"""AQLM checkpoints in two forms: one that transformers loads, and one with codes packed to their true bits.

A packed checkpoint has `packed: true` in its `quantization_config`, `X.codes` as uint8 bytes (see packing.py), which
transformers refuses for their shape, and `X.codes_shape`, the int32 triple (out, in/g, M).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import CheckpointReaders, ModelError, whole_file

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

    from qharness import LoadCheckpoint

QUANT_METHOD = "aqlm"
_SHARD_SIZE = "4GB"
_CONFIG, _INDEX, _WEIGHTS = "config.json", "model.safetensors.index.json", "*.safetensors"
_CODES, _SHAPE = ".codes", ".codes_shape"
_NOT_QUANTIZED = "linear_weights_not_to_quantize"

Tensors = dict[str, "Tensor"]


class AqlmCheckpoint:
    """Writes, reads and runs AQLM checkpoints."""

    quant_method = QUANT_METHOD

    def save(self, model: PreTrainedModel, folder: Path, *, packed: bool = False) -> None:
        """Write weights and configuration of a model whose Linears are AqlmLinear; the model is not changed.

        Raises ModelError unless all have codebooks of one number and size, for there is one configuration.
        """
        had = getattr(model.config, "quantization_config", None)
        model.config.quantization_config = describe(model)
        try:
            model.save_pretrained(folder, max_shard_size=_SHARD_SIZE)
        finally:
            model.config.quantization_config = had
            if had is None:
                del model.config.quantization_config
        if packed:
            _rewrite(folder, folder, _pack, packed=True)

    def readers(self, *, packed: bool) -> CheckpointReaders:
        """Say who loads the checkpoints that `save` writes."""
        if packed:
            return CheckpointReaders(transformers=False, remark="`qharness quantize --unpack` makes it plain")
        exception = "not where a model's code asks a Linear for its weight, as T5's and GPT-BigCode's does"
        return CheckpointReaders(transformers=True, packages=("aqlm",), remark=exception)

    def load(self, source: str, config: PretrainedConfig, load: LoadCheckpoint) -> PreTrainedModel:
        """Load a checkpoint, packed or plain, into AqlmLinears; correct the names that AQLM's converter writes."""
        from qharness.plugins.aqlm.aqlm_hf_quantizer import METHOD

        settings = repaired(_settings(config))
        if settings["out_group_size"] != 1:
            raise ModelError(f"{source}: AQLM with an out_group_size of {settings['out_group_size']} is not supported")
        config.quantization_config = {
            "quant_method": METHOD,
            "unquantized": settings[_NOT_QUANTIZED],
            "books": settings["num_codebooks"],
            "bits": settings["nbits_per_codebook"],
            "group": settings["in_group_size"],
            "packed": bool(settings.get("packed")),
        }
        model = load(source, config)
        del model.hf_quantizer, model.quantization_method
        model.is_quantized = False  # type: ignore[assignment]  # to transformers it is a model like others now, which may be moved and saved
        model.config.quantization_config = settings
        return model

    def unpack(self, source: Path, target: Path) -> None:
        """Write a packed checkpoint into another folder in the form that transformers loads; copy its other files."""
        config = json.loads((source / _CONFIG).read_text(encoding="utf-8"))
        if not config.get("quantization_config", {}).get("packed"):
            raise ModelError(f"{source} is not packed: transformers loads it as it is")
        _rewrite(source, target, _unpack, packed=False)

    def select_kernels(self, model: nn.Module, memory: int) -> Mapping[str, int]:
        """Choose each AqlmLinear's kernel, in at most `memory` bytes more; see code_lookup.py."""
        from qharness.plugins.aqlm.code_lookup import select_kernels

        return select_kernels(model, memory)


def describe(model: nn.Module) -> dict[str, Any]:
    """Return the `quantization_config` of a model whose Linears are AqlmLinear.

    It lists a Linear that is not quantized under its own name, which transformers 5 matches, and under its weight's,
    which AQLM's converter writes and older versions match.
    """
    from torch import nn

    from qharness.plugins.aqlm.weight import AqlmLinear

    shapes = {module.codebooks.shape for module in model.modules() if isinstance(module, AqlmLinear)}
    if len(shapes) != 1:
        found = ", ".join(f"{s[0]}x{s[1].bit_length() - 1} in groups of {s[3]}" for s in sorted(shapes)) or "none"
        raise ModelError(f"an AQLM checkpoint has codebooks of one number and size, this model's are: {found}")
    books, size, _, group = shapes.pop()
    plain = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return {
        "quant_method": QUANT_METHOD,
        "in_group_size": group,
        "out_group_size": 1,
        "num_codebooks": books,
        "nbits_per_codebook": size.bit_length() - 1,
        _NOT_QUANTIZED: [each for name in plain for each in (name, f"{name}.weight")],
    }


def repaired(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `quantization_config` that names Linears that are not quantized as transformers matches them.

    AQLM's converter lists parameters (`lm_head.weight`); transformers 5 compares with modules (`lm_head`), and gives
    modules that it does not find random values. Biases say nothing: those of quantized Linears are listed too.
    """
    names = list(settings.get(_NOT_QUANTIZED) or [])
    modules = [name.removesuffix(".weight") for name in names if name.endswith(".weight")]
    defaults = {"in_group_size": 8, "out_group_size": 1, "num_codebooks": 1, "nbits_per_codebook": 16}
    return {**defaults, **settings, _NOT_QUANTIZED: list(dict.fromkeys([*names, *modules]))}


def _settings(config: PretrainedConfig) -> dict[str, Any]:
    found = config.quantization_config
    return dict(found if isinstance(found, Mapping) else found.to_dict())


# ------------------------------------------------------------------------------------------------------------- files


def _rewrite(source: Path, target: Path, change: Callable[[Tensors, int], Tensors], *, packed: bool) -> None:
    """Change a checkpoint's tensors by `change(tensors, bits of a code)`, a file at a time; copy its other files."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    files = sorted(source.glob(_WEIGHTS))
    if not files:
        raise ModelError(f"{source} has no {_WEIGHTS}: only checkpoints in that form can be packed or unpacked")
    config = json.loads((source / _CONFIG).read_text(encoding="utf-8"))
    where: dict[str, str] = {}
    total = 0
    for path in files:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        tensors = change(tensors, config["quantization_config"]["nbits_per_codebook"])
        with whole_file(target / path.name) as scratch:
            save_file(tensors, scratch, metadata={"format": "pt"})
        where |= dict.fromkeys(tensors, path.name)
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if source != target:
        for path in source.iterdir():
            if path.is_file() and path not in files:
                shutil.copy2(path, target / path.name)
    if (source / _INDEX).exists():
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (target / _INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")
    config["quantization_config"].pop("packed", None)
    if packed:
        config["quantization_config"]["packed"] = True
    (target / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _pack(tensors: Tensors, bits: int) -> Tensors:
    """Pack codes to bytes, and add their shapes."""
    import torch

    from qharness.plugins.aqlm.packing import pack
    from qharness.plugins.aqlm.weight import unwrap

    changed = dict(tensors)
    for name in [name for name in tensors if name.endswith(_CODES)]:
        changed[name] = pack(unwrap(tensors[name], bits), bits)
        changed[name.removesuffix(_CODES) + _SHAPE] = torch.tensor(tensors[name].shape, dtype=torch.int32)
    return changed


def _unpack(tensors: Tensors, bits: int) -> Tensors:
    from qharness.plugins.aqlm.packing import unpack
    from qharness.plugins.aqlm.weight import wrap

    changed = {name: tensor for name, tensor in tensors.items() if not name.endswith(_SHAPE)}
    for name in [name for name in changed if name.endswith(_CODES)]:
        out, groups, books = tensors[name.removesuffix(_CODES) + _SHAPE].tolist()
        changed[name] = wrap(unpack(tensors[name], bits, (out, groups, books)), bits)
    return changed
