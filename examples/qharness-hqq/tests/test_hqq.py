from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import qharness
from qharness import ModelError, QuantizedLinear, RunSpec, SpecError
from qharness_hqq import PACKING, Hqq
from qharness_hqq.layer import HqqLinear, quantized


def linear(rows: int = 64, columns: int = 192, dtype: torch.dtype = torch.float32) -> torch.nn.Linear:
    generator = torch.Generator().manual_seed(0)
    made = torch.nn.Linear(columns, rows, dtype=dtype)
    made.requires_grad_(False)
    made.weight.copy_(torch.randn(rows, columns, generator=generator))
    made.bias.copy_(torch.randn(rows, generator=generator))
    return made


def error(bits: int, group: int) -> float:
    weight = linear().weight
    return float((quantized("it", linear(), bits, group).dequantized_weight() - weight).norm() / weight.norm())


def test_the_error_falls_with_bits() -> None:
    errors = [error(bits, 64) for bits in sorted(PACKING)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.5 and errors[-1] < 0.01


def test_the_error_falls_with_smaller_groups() -> None:
    errors = [error(3, group) for group in (8, 32, 192)]
    assert errors == sorted(errors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_multiplies_with_the_weight_it_says(dtype: torch.dtype) -> None:
    layer = quantized("it", linear(dtype=dtype), 4, 64)
    x = torch.randn(3, 192, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = x @ layer.dequantized_weight().to(dtype).T + linear(dtype=dtype).bias
    assert layer(x).dtype == dtype
    torch.testing.assert_close(layer(x), expected)
    assert isinstance(layer, QuantizedLinear)
    assert layer.quantized_input(x) is x


def test_the_same_every_time() -> None:
    first, second = (quantized("it", linear(), 4, 64) for _ in range(2))
    assert torch.equal(first.dequantized_weight(), second.dequantized_weight())


@pytest.mark.parametrize("bits", PACKING)
@pytest.mark.parametrize("group", [8, 64])
def test_sizes_are_those_of_the_tensors(bits: int, group: int) -> None:
    layer = quantized("it", linear(), bits, group)
    sizes = Hqq(bits, group).weight_bytes({"it": (64, 192)}, 4)
    assert sizes.codes == layer.W_q.nbytes
    assert sizes.scales == layer.packed_bytes
    assert sizes.packed <= sizes.codes + sizes.scales


@pytest.mark.parametrize("arguments", [(7,), (0,), (4, 4), (4, 60), (4, -8)])
def test_bad_options(arguments: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="hqq"):
        Hqq(*arguments)


def test_a_group_that_does_not_divide() -> None:
    with pytest.raises(ModelError, match="group of 40 does not divide the 12288 weights of it"):
        quantized("it", linear(), 4, 40)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The bundled model on ten of its problems."""
    output = tmp_path_factory.mktemp("runs")

    def document(quant: str) -> dict:
        spec = RunSpec("tiny-python", quant=quant, samples=2, limit=10, output=output, compare=False)
        return qharness.run(spec).document

    return {quant: document(quant) for quant in ("none", "hqq:4")}


def test_a_run_passes_some(runs: dict[str, dict]) -> None:
    passed = {quant: document["metrics"]["tiny-python"]["pass@1"] for quant, document in runs.items()}
    assert passed["hqq:4"] >= 0.5 * passed["none"] > 0


def test_a_run_takes_less_memory_and_a_checkpoint_would_be_smaller(runs: dict[str, dict]) -> None:
    for size in ("weight_bytes", "storage_bytes"):
        small, large = (runs[quant]["hosting"][size] for quant in ("hqq:4", "none"))
        assert 0.15 * large < small < 0.5 * large


def test_every_linear_of_the_blocks_is_replaced() -> None:
    model = qharness.quantize("tinycoder", "hqq:2,group=32")
    layers = [module for module in model.modules() if isinstance(module, HqqLinear)]
    assert len(layers) > 6
    assert all(layer.W_q.dtype == torch.uint8 for layer in layers)


def test_starts_without_torch() -> None:
    code = "import sys, qharness_hqq; sys.exit(bool({'torch', 'hqq'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent).returncode == 0
