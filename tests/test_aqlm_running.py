"""How quantized layers run: every kernel gives the same results, within the memory that is given."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from qharness import QHarnessError
from qharness.models import checkpoint_formats
from qharness.models.checkpoint_formats import MEMORY, select_kernels
from qharness.plugins.aqlm import code_lookup
from qharness.plugins.aqlm.weight import AqlmLinear
from tests.aqlm_models import logits, random_weight, with_random_codes
from tests.tiny_models import make_model

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def layer_of(rows: int, columns: int, books: int, bits: int, dtype: torch.dtype = torch.float32) -> AqlmLinear:
    generator = torch.Generator().manual_seed(bits)
    weight = random_weight(rows, columns, books, bits, 8, generator, dtype)
    return AqlmLinear(weight, torch.randn(rows, generator=generator).to(dtype))


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """The kernel is the faster way on more of the layers then."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


@pytest.mark.parametrize(("memory", "name"), [(1 << 30, "lookup or dense"), (3 << 20, "lookup or pieces")])
def test_the_packages_kernel(memory: int, name: str, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(1024, 1024, 2, 8)
    assert code_lookup.select_kernels(layer, memory) == {name: 1}
    from aqlm.inference_kernels import numba_kernel

    calls = []
    kernel = numba_kernel.numba_gemm_lut
    monkeypatch.setattr(numba_kernel, "numba_gemm_lut", lambda *args: calls.append(len(args[0])) or kernel(*args))
    with torch.inference_mode():
        for rows in (1, 3, 4, 40):
            x = torch.randn(rows, 1024)
            expected = functional.linear(x, layer.quantized.dequantize(), layer.bias)
            for _ in range(5):  # a race would show in one of these
                assert torch.allclose(layer(x), expected, atol=1e-4)
    assert calls == [1] * 5 + [3] * 5  # 2 codebooks, 1 thread: 6 lookups are 3 rows


@pytest.mark.parametrize(
    ("rows", "books", "bits", "dtype"),
    [
        (1024, 2, 9, torch.float32),
        (1024, 2, 8, torch.bfloat16),
        (512, 2, 8, torch.float32),
        (1024, 7, 8, torch.float32),
    ],
)
def test_layers_that_the_kernel_does_not_serve(
    rows: int, books: int, bits: int, dtype: torch.dtype, one_torch_thread: None
) -> None:
    assert code_lookup.select_kernels(layer_of(rows, 1024, books, bits, dtype), 1 << 30) == {"dense": 1}


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
