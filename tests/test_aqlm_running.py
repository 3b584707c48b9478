"""How quantized layers run: every kernel gives the same results, within the memory that is given."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from qharness import QHarnessError
from qharness.models import checkpoint_formats
from qharness.models.checkpoint_formats import MEMORY, select_kernels
from qharness.plugins.aqlm import code_lookup, code_products
from qharness.plugins.aqlm.weight import AqlmLinear
from tests.aqlm_models import logits, random_weight, with_random_codes
from tests.tiny_models import make_model

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def layer_of(
    rows: int, columns: int, books: int, bits: int, dtype: torch.dtype = torch.float32, group: int = 8
) -> AqlmLinear:
    generator = torch.Generator().manual_seed(bits)
    weight = random_weight(rows, columns, books, bits, group, generator, dtype)
    return AqlmLinear(weight, torch.randn(rows, generator=generator).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_dense_and_in_pieces(dtype: torch.dtype, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_lookup, "PIECE", 1000)  # rows do not come out even
    layer = layer_of(100, 64, 2, 9, dtype)
    x = torch.randn(2, 5, 64).to(dtype)
    with torch.inference_mode():
        expected = functional.linear(x, layer.quantized.dequantize(), layer.bias)
        assert code_lookup.select_kernels(layer, memory) == ({"dense": 1} if memory else {"pieces": 1})
        y = layer(x)
    assert y.dtype == dtype and torch.allclose(y, expected, rtol=2e-2 if dtype != torch.float32 else 1e-5, atol=1e-3)


@pytest.fixture
def all_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_lookup, "_WORTH_COMPILING", 1)


@pytest.mark.parametrize(("books", "bits", "group"), [(2, 9, 8), (3, 5, 4), (1, 12, 16)])
def test_codes_are_looked_up(
    books: int, bits: int, group: int, all_looked_up: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_products, "PIECE", 1000)
    for out in (33, 2, 1):
        layer = layer_of(out, 80, books, bits, group=group)
        assert code_lookup.select_kernels(layer, 0) == {"lookup": 1}
        for rows in (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 40):
            x = torch.randn(rows, 80)
            expected = functional.linear(x, layer.quantized.dequantize(), layer.bias)
            with torch.inference_mode():
                assert torch.allclose(layer(x), expected, atol=1e-5)
                assert torch.allclose(layer(x.t().contiguous().t()[None]), expected[None], atol=1e-5)


def test_what_is_looked_up_has_a_gradient_and_no_other_width(all_looked_up: None) -> None:
    layer, x = layer_of(8, 32, 2, 9), torch.randn(3, 32, requires_grad=True)
    code_lookup.select_kernels(layer, 0)
    layer(x).sum().backward()
    assert x.grad is not None and torch.allclose(x.grad[0], layer.quantized.dequantize().sum(0), atol=1e-5)
    for wrong in (torch.randn(1, 24), torch.randn(1, 32).double()):
        with pytest.raises(RuntimeError, match="a layer of 32 inputs of float32 was given"), torch.inference_mode():
            layer(wrong)


def test_threads_are_as_many_as_before(all_looked_up: None) -> None:
    threads = torch.get_num_threads()
    layer = layer_of(8, 32, 2, 9)
    code_lookup.select_kernels(layer, 0)
    try:
        for number in (1, 2, 64):
            torch.set_num_threads(number)
            with torch.inference_mode():
                layer(torch.randn(1, 32))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("rows", "dtype"), [(511, torch.float32), (512, torch.bfloat16)])
def test_layers_that_are_not_worth_it_or_of_another_type(rows: int, dtype: torch.dtype) -> None:
    assert code_lookup.select_kernels(layer_of(rows, 512, 2, 9, dtype), 1 << 30) == {"dense": 1}
    assert code_lookup.select_kernels(layer_of(512, 512, 2, 9), 1 << 30) == {"lookup": 1}


def test_codebooks_that_no_cache_holds_are_looked_up_where_memory_is_short() -> None:
    layer = layer_of(512, 512, 1, 14)
    assert code_lookup.select_kernels(layer, 1 << 30) == {"dense": 1}
    assert code_lookup.select_kernels(layer, 1 << 10) == {"lookup": 1}


def test_memory_is_not_exceeded_and_layers_are_made_dense_in_order() -> None:
    model = with_random_codes(make_model("llama"), 2, 6, 8)
    layers = [module for module in model.modules() if isinstance(module, AqlmLinear)]
    sizes = [4 * layer.in_features * layer.out_features for layer in layers]
    expected = logits(model)
    for memory in (0, sizes[0] - 1, sizes[0], sum(sizes[:5]), sum(sizes)):
        kernels = code_lookup.select_kernels(model, memory)
        taken = sum(each.weight.nbytes for each in model.modules() if isinstance(each, code_lookup.Dense))
        assert taken <= memory and sum(kernels.values()) == len(layers)
        assert torch.allclose(logits(model), expected, atol=1e-5)
    assert kernels == {"dense": len(layers)}


def test_the_memory_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_random_codes(make_model("llama"), 2, 6, 8)
    assert select_kernels(model) == {"dense": 14}
    monkeypatch.setenv(MEMORY, "0")
    assert select_kernels(model) == {"pieces": 14}
    assert select_kernels(make_model("llama")) == {}
    monkeypatch.setenv(MEMORY, "much")
    with pytest.raises(QHarnessError, match="must be auto or a whole number"):
        select_kernels(model)


def test_a_kernel_is_neither_saved_nor_copied_nor_in_the_way_of_training() -> None:
    layer = layer_of(16, 32, 2, 4)
    state = set(layer.state_dict())
    plain = pickle.dumps(layer)
    code_lookup.select_kernels(layer, 1 << 20)
    assert layer.kernel is not None and set(layer.state_dict()) == state
    assert copy.deepcopy(layer).kernel is None and len(pickle.dumps(layer)) == len(plain)
    layer.codebooks.requires_grad_()
    layer(torch.randn(3, 32)).sum().backward()
    assert layer.codebooks.grad is not None and layer.codebooks.grad.norm() > 0


def test_a_format_that_names_its_method_settle_is_still_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Former:
        quant_method = "former"

        def load(self, source: str, config: object, load: object) -> None: ...
        def unpack(self, source: object, target: object) -> None: ...
        def settle(self, model: nn.Module, memory: int) -> dict[str, int]:
            return {"former": 1}

    class Offering:
        checkpoint = Former()

    offers = SimpleNamespace(quantizers={"former": SimpleNamespace(value=Offering)})
    monkeypatch.setattr(checkpoint_formats, "get_registry", lambda: offers)
    with pytest.warns(DeprecationWarning, match=r"Former.settle is now called select_kernels"):
        assert select_kernels(make_model("llama")) == {"former": 1}
