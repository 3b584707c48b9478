"""Mixture-of-experts layers with a Linear for each expert, in place of transformers' fused 3-D parameters.

transformers keeps the experts of a layer in one parameter `gate_up_proj` (or `up_proj`) and one `down_proj`, with the
experts along the first dimension. A quantizer finds no Linear there. `split_experts` puts Linears in their place, which
share the memory of the fused parameters; `SplitExperts.fused` is the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

_CONVENTION = ("has_gate", "has_bias", "has_post_expert_norm", "is_transposed", "_apply_gate", "down_proj")
"""Attributes that `transformers.integrations.moe.use_experts_implementation` gives a class of experts."""


@dataclass(frozen=True)
class Projection:
    """The names of a projection's fused weight, [experts, out, in] or transposed, and of its bias, [experts, out]."""

    weight: str
    bias: str | None


class SplitExperts(nn.Module):
    """The experts of one layer, each with its own Linears: `0.gate_up_proj` (or `0.up_proj`), `0.down_proj`, `1...`.

    `shell` is the module that stood here, without the fused parameters: its activation and gate are used.
    """

    def __init__(self, experts: nn.Module) -> None:
        super().__init__()
        self.up, self.down = projections(experts)
        self.shell = experts
        for index, linears in enumerate(_linears(experts, (self.up, self.down))):
            self.add_module(str(index), nn.ModuleDict(linears))
        for projection in (self.up, self.down):
            for name in filter(None, (projection.weight, projection.bias)):
                delattr(experts, name)

    @property
    def experts(self) -> list[nn.ModuleDict]:
        """The Linears of each expert, by the name of their projection."""
        return [cast(nn.ModuleDict, module) for name, module in self.named_children() if name != "shell"]

    def forward(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """Weighted sums [tokens, width] of the outputs of the experts `top_k_index` [tokens, k] for `hidden_states`.

        An index beyond the last expert contributes nothing. A row's result does not depend on other rows.
        """
        tokens, k = top_k_index.shape
        chosen = top_k_index.reshape(-1)
        experts = self.experts
        outputs = hidden_states.new_zeros(len(chosen), hidden_states.shape[-1])
        for index in cast("list[int]", chosen.unique().tolist()):
            if index < len(experts):
                rows = (chosen == index).nonzero().squeeze(1)
                outputs[rows] = self._expert(experts[index], hidden_states[rows // k]).to(outputs.dtype)
        weighted = outputs * top_k_weights.reshape(-1, 1)
        return weighted.view(tokens, k, -1).sum(dim=1).to(hidden_states.dtype)

    def _expert(self, linears: nn.ModuleDict, x: Tensor) -> Tensor:
        shell = cast(Any, self.shell)
        activate: Callable[[Tensor], Tensor] = shell._apply_gate if shell.has_gate else shell.act_fn
        y: Tensor = linears[self.down.weight](activate(linears[self.up.weight](x)))
        return cast(Tensor, shell.post_expert_norm(y)) if shell.has_post_expert_norm else y

    def fused(self) -> nn.Module | None:
        """The module that stood here, with the weights of the Linears; None where one is no longer an `nn.Linear`."""
        experts = self.experts
        for projection in (self.up, self.down):
            linears: list[Any] = [each[projection.weight] for each in experts]
            if any(type(each) is not nn.Linear or type(each.weight) is not nn.Parameter for each in linears):
                return None
            weight = torch.stack([linear.weight.detach() for linear in linears])
            weight = weight.mT.contiguous() if self.shell.is_transposed else weight
            setattr(self.shell, projection.weight, nn.Parameter(weight, requires_grad=False))
            if projection.bias is not None:
                bias = torch.stack([linear.bias.detach() for linear in linears])
                setattr(self.shell, projection.bias, nn.Parameter(bias, requires_grad=False))
        return self.shell


def is_fused(module: nn.Module) -> bool:
    """Whether a module follows transformers' convention for experts, in full precision and without other parameters.

    Another parameter would mean a forward pass of the module's own, which `SplitExperts` does not run.
    """
    if not all(hasattr(module, name) for name in _CONVENTION):
        return False
    expected = {name for each in projections(module) for name in (each.weight, each.bias) if name is not None}
    own = dict(module.named_parameters(recurse=False))
    return set(own) == expected and all(
        type(own[each.weight]) is nn.Parameter and own[each.weight].is_floating_point() and own[each.weight].dim() == 3
        for each in projections(module)
    )


def projections(experts: nn.Module) -> tuple[Projection, Projection]:
    """The projections of experts, into their inner width and out of it."""
    names = ("gate_up_proj" if experts.has_gate else "up_proj", "down_proj")
    up, down = (Projection(name, f"{name}_bias" if experts.has_bias else None) for name in names)
    return up, down


def _linears(experts: nn.Module, both: tuple[Projection, ...]) -> Iterator[dict[str, nn.Module]]:
    """The Linears of each expert in turn; weights are views of the fused parameters."""
    fused = {name: cast(Tensor, getattr(experts, name)) for each in both for name in (each.weight, each.bias) if name}
    for index in range(len(fused[both[0].weight])):
        found: dict[str, nn.Module] = {}
        for each in both:
            weight = fused[each.weight].detach()[index]
            bias = None if each.bias is None else fused[each.bias].detach()[index]
            found[each.weight] = linear_from(weight.t() if experts.is_transposed else weight, bias)
        yield found


def linear_from(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A Linear with this weight [out, in] and bias [out], whose memory it shares."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta", dtype=weight.dtype)
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear.eval()
