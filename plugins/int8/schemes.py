"""Reads and writes int8 schemes in the `quantization_config` of compressed-tensors.

A scheme belongs to a group of layers; its `targets` are names of layers, regular expressions behind `re:`, or names of
classes. Only schemes that our layers compute are read: symmetric int8 weights with a scale for the matrix or one for
each row, and symmetric activations of 8 or 4 bits with a scale for each token or a fixed one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from torch import nn

METHOD = "qharness-int8"  # the name in older checkpoints, and the one that our loader is registered under
FORMAT = "int-quantized"  # X.weight int8, X.weight_scale [out, 1] or [1], X.input_scale [1]
_FORMATS = (FORMAT, "naive-quantized", None)
_ACTIVATION_BITS = (8, 4)


@dataclass(frozen=True)
class Scheme:
    """How the Linears that `targets` match are quantized. `static`: activations have a fixed scale."""

    targets: tuple[str, ...]
    per_column: bool
    act_bits: int
    static: bool

    def describe(self) -> dict[str, Any]:
        """Return the scheme in compressed-tensors' form."""
        return {
            "targets": list(self.targets),
            "weights": _arguments(8, "channel" if self.per_column else "tensor", dynamic=False),
            "input_activations": _arguments(
                self.act_bits, "tensor" if self.static else "token", dynamic=not self.static
            ),
            "output_activations": None,
            "format": FORMAT,
        }


@dataclass(frozen=True)
class Schemes:
    """A model's schemes, and the layers to `ignore`. `flat`: scales of rows are [out] and not [out, 1]."""

    groups: tuple[Scheme, ...]
    ignore: tuple[str, ...] = ()
    flat: bool = False

    def of(self, name: str, module: nn.Module) -> Scheme | None:
        """Return a layer's scheme: one that names it goes before a regular expression, and that before a class."""
        if any(_match(target, name, module) for target in self.ignore):
            return None
        found = [
            (rank, number)
            for number, scheme in enumerate(self.groups)
            for target in scheme.targets
            if (rank := _match(target, name, module))
        ]
        return self.groups[min(found)[1]] if found else None

    def describe(self) -> dict[str, Any]:
        """Return a `quantization_config` without its method."""
        groups = {f"group_{number}": scheme.describe() for number, scheme in enumerate(self.groups)}
        return {
            "format": FORMAT,
            "quantization_status": "compressed",
            "config_groups": groups,
            "ignore": list(self.ignore),
        }

    def document(self) -> dict[str, Any]:
        """Return the schemes as values of JSON."""
        return asdict(self)

    @classmethod
    def of_document(cls, groups: Sequence[Mapping[str, Any]], ignore: Sequence[str], flat: bool) -> Schemes:
        """Read the result of `document`."""
        schemes = [Scheme(tuple(g["targets"]), g["per_column"], g["act_bits"], g["static"]) for g in groups]
        return cls(tuple(schemes), tuple(ignore), flat)


def read_compressed(settings: Mapping[str, Any]) -> Schemes | None:
    """Read a `quantization_config` of compressed-tensors; return None if our layers do not compute a scheme in it."""
    more = ("kv_cache_scheme", "sparsity_config", "transform_config")
    groups = settings.get("config_groups")
    if not isinstance(groups, Mapping) or not groups or any(settings.get(key) for key in more):
        return None
    if settings.get("format") not in _FORMATS or settings.get("quantization_status") != "compressed":
        return None
    schemes = [_read_group(group) for group in groups.values()]
    found = tuple(scheme for scheme in schemes if scheme is not None)
    return Schemes(found, tuple(settings.get("ignore") or ())) if len(found) == len(schemes) else None


def read_former(settings: Mapping[str, Any]) -> Schemes:
    """Read a `quantization_config` in the form that qharness wrote before it wrote compressed-tensors'."""
    static = tuple(settings["static"])
    both = [(static, True), (("Linear",), False)] if static else [(("Linear",), False)]
    groups = [Scheme(targets, settings["per_column"], settings["act_bits"], fixed) for targets, fixed in both]
    return Schemes(tuple(groups), tuple(settings["kept"]), flat=True)


def _read_group(group: Any) -> Scheme | None:
    """Read one entry of `config_groups`; return None if our layers do not compute it."""
    if not isinstance(group, Mapping) or group.get("output_activations") or group.get("format") not in _FORMATS:
        return None
    weights, inputs = group.get("weights"), group.get("input_activations")
    if not _integers(weights) or not _integers(inputs):
        return None
    strategy = weights.get("strategy")
    how = (inputs.get("strategy"), bool(inputs.get("dynamic")))
    if weights["num_bits"] != 8 or weights.get("dynamic") or strategy not in ("tensor", "channel"):
        return None
    if inputs["num_bits"] not in _ACTIVATION_BITS or how not in (("token", True), ("tensor", False)):
        return None
    return Scheme(tuple(group["targets"]), strategy == "channel", inputs["num_bits"], how == ("tensor", False))


def _integers(arguments: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(arguments, Mapping) and arguments.get("type", "int") == "int" and bool(arguments.get("symmetric"))


def _arguments(bits: int, strategy: str, *, dynamic: bool) -> dict[str, Any]:
    return {"num_bits": bits, "type": "int", "symmetric": True, "strategy": strategy, "dynamic": dynamic}


def _match(target: str, name: str, module: nn.Module) -> int:
    """Return how closely a target matches a layer: 1 is the closest, 0 is no match."""
    if target == name:
        return 1
    if target.startswith("re:"):
        return 2 if re.match(target.removeprefix("re:"), name) else 0
    return 3 if target in {each.__name__ for each in type(module).__mro__} else 0
