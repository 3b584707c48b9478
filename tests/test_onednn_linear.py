"""Linears by oneDNN: as exact as PyTorch's own, and only where they are faster and nothing else is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from qharness.models import onednn_linear as module
from qharness.models.onednn_linear import onednn_linear

if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    pytest.skip("needs a PyTorch with oneDNN", allow_module_level=True)


@pytest.fixture(autouse=True)
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_faster", lambda: True)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the inputs that PyTorch's own function gets."""
    found: list[int] = []
    own = module._linear

    def count(*arguments: torch.Tensor) -> torch.Tensor:
        found.append(arguments[0].numel())
        return own(*arguments)

    monkeypatch.setattr(module, "_linear", count)
    return found


def layer(width: int = 768, dtype: torch.dtype = torch.float32, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(width, width, bias=bias).to(dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 40)])
def test_products_are_float32s(shape: tuple[int, int], bias: bool, called: list[int]) -> None:
    linear, inputs = layer(bias=bias), torch.randn(*shape, 768)
    with onednn_linear(), torch.inference_mode():
        found = linear(inputs)
        wanted = linear.double()(inputs.double())
    assert called == [inputs.numel()], "the double one only"
    assert found.shape == wanted.shape and found.dtype == torch.float32
    assert float((found.double() - wanted).norm()) < 1e-6 * float(wanted.norm())


def test_what_is_small_or_in_another_dtype_or_trained_or_a_subclass_is_pytorchs(called: list[int]) -> None:
    class Wrapped(torch.Tensor):
        """A weight of another library's kind."""

    wrapped = layer()
    wrapped.weight = nn.Parameter(wrapped.weight.data.as_subclass(Wrapped), requires_grad=False)
    inputs = torch.randn(4, 768)
    with onednn_linear():
        with torch.no_grad():
            layer(8)(torch.randn(1, 8))
            layer(dtype=torch.bfloat16)(inputs.bfloat16())
            wrapped(inputs)
            assert len(called) == 3
        linear = layer()
        linear(inputs).sum().backward()
        assert len(called) == 4 and linear.weight.grad is not None


def test_pytorchs_function_is_back_after_an_error_and_where_it_is_no_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    own = functional.linear
    with pytest.raises(ZeroDivisionError), onednn_linear():
        assert functional.linear is not own
        raise ZeroDivisionError
    assert functional.linear is own
    monkeypatch.setattr(module, "_is_faster", lambda: False)
    with onednn_linear():
        assert functional.linear is own
