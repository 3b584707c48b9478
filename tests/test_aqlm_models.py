"""AQLM on whole models of many architectures: block after block, resuming, fine-tuning."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from qharness import Calibration, ModelError, QuantizationContext, SpecError, block_linears, find_blocks, model_inputs
from qharness.plugins.aqlm import Aqlm
from qharness.plugins.aqlm.replay import Replay, batches, hidden
from qharness.plugins.aqlm.weight import AqlmLinear
from qharness.registry import get_registry
from tests.tiny_models import CONFIGS, CONTEXT, VOCABULARY, make_model, tokenizer

_TINY = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _bigcode() -> transformers.PretrainedConfig:
    return transformers.GPTBigCodeConfig(n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, n_inner=64, **_TINY)


def _qwen2() -> transformers.PretrainedConfig:
    return transformers.Qwen2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=CONTEXT, **_TINY,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(CONFIGS, "gpt_bigcode", _bigcode)
    monkeypatch.setitem(CONFIGS, "qwen2", _qwen2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that threads only wait for each other
    yield
    torch.set_num_threads(threads)


def _context(log: Callable[[str], None] = lambda _: None, seed: int = 0, n: int = 10) -> QuantizationContext:
    draw = torch.Generator().manual_seed(1)
    lengths = ([24] * 6 + [16] * 3 + [9]) * 8
    sequences = [torch.randint(4, VOCABULARY, (length,), generator=draw) for length in lengths[:n]]
    return QuantizationContext(tokenizer(), seed, Calibration(sequences, {"drawn": n}), log)


@torch.no_grad()
def _quantized(
    quantizer: Aqlm, architecture: str, context: QuantizationContext, dtype: torch.dtype = torch.float32
) -> nn.Module:
    return quantizer.quantize(make_model(architecture, sharp=True).to(dtype), context)


@torch.no_grad()
def _logits(model: nn.Module) -> torch.Tensor:
    ids = torch.randint(4, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(9))
    logits: torch.Tensor = model(**model_inputs(model, ids)).logits
    return logits.float()


_ARCHITECTURES = ("llama", "codegen", "gpt_bigcode", "qwen2", "t5", "plbart")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
_EACH_ONCE = tuple(zip(_ARCHITECTURES, _DTYPES * 2, strict=True))


@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [
        pytest.param(*pair, id="-".join(map(str, pair)), marks=[] if pair in _EACH_ONCE else pytest.mark.long)
        for pair in itertools.product(_ARCHITECTURES, _DTYPES)
    ],
)
def test_architectures_and_dtypes(architecture: str, dtype: torch.dtype) -> None:
    """More bits come nearer to full precision; all Linears of the blocks are quantized, all else stays in its dtype."""
    full = make_model(architecture).to(dtype)
    names = set(block_linears(full))
    wanted = _logits(full)
    distances = []
    for books in (1, 6):
        with torch.no_grad():
            quantizer = Aqlm(codebooks=books, nbits=4, finetune="none")
            model = quantizer.quantize(make_model(architecture).to(dtype), _context(n=4))
        distances.append(float((_logits(model) - wanted).norm()))
    assert {name for name, module in model.named_modules() if isinstance(module, AqlmLinear)} == names
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert distances[1] < 0.6 * distances[0] and distances[1] < 0.5 * float(wanted.norm())


@pytest.mark.parametrize("architecture", ["llama", "codegen", "t5", "plbart"])
def test_a_replayed_block_gets_what_it_gets_in_the_model(architecture: str) -> None:
    model = make_model(architecture)
    inputs = batches(_context().calibration.sequences, 4)
    blocks = find_blocks(model)
    replay = Replay.of(model, inputs, blocks)
    assert sorted(replay.blocks) == sorted(blocks)
    for name in replay.blocks:
        seen: list[torch.Tensor] = []
        hook = blocks[name].register_forward_hook(lambda _m, _a, output, seen=seen: seen.append(hidden(output)))
        with torch.no_grad():
            for ids in inputs:
                model(**model_inputs(model, ids))
        hook.remove()
        with torch.no_grad():
            alone = [hidden(call.run(blocks[name])) for call in replay.calls(name)]
        assert len(alone) == len(seen) == len(inputs)
        assert all(torch.equal(a, b) for a, b in zip(alone, seen, strict=True))
        replay.advance(name)
    assert not any("forward" in vars(block) for block in blocks.values())


def test_batches_hold_sequences_of_one_length() -> None:
    sequences = [torch.arange(n) for n in (3, 5, 3, 0, 5, 3)]
    found = batches(sequences, 2, tokens=100)
    assert [tuple(batch.shape) for batch in found] == [(2, 3), (1, 3), (2, 5)]
    assert [tuple(batch.shape) for batch in batches(sequences, 8, tokens=6)] == [(2, 3), (1, 3), (1, 5), (1, 5)]


@pytest.mark.parametrize("architecture", ["llama", pytest.param("t5", marks=pytest.mark.long)])
def test_a_seed_repeats(architecture: str) -> None:
    quantizer = Aqlm(codebooks=1, nbits=4)
    first, second = (_quantized(quantizer, architecture, _context()).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = _quantized(quantizer, architecture, _context(seed=1)).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first if name.endswith("codes"))


class _KilledError(Exception):
    pass


@pytest.mark.parametrize(
    ("architecture", "finetune"),
    [
        ("llama", "e2e"),
        ("plbart", "block"),
        pytest.param("llama", "block", marks=pytest.mark.long),
        pytest.param("plbart", "e2e", marks=pytest.mark.long),
    ],
)
def test_a_killed_quantization_resumes_to_the_same_checkpoint(architecture: str, finetune: str, tmp_path: Path) -> None:
    quantizer = Aqlm(codebooks=1, nbits=4, finetune=finetune)  # type: ignore[arg-type]
    whole = _quantized(quantizer, architecture, _context()).state_dict()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    deaths = 0
    said: list[str] = []
    while True:

        def log(line: str) -> None:
            said.append(line)
            if "error of its layers" in line or "epoch 2" in line:  # a block is done, or end-to-end tuning runs
                raise _KilledError

        try:
            resumed = _quantized(quantizer, architecture, _context(log if deaths < 4 else said.append)).state_dict()
            break
        except _KilledError:
            deaths += 1
    assert deaths >= 2 and any("was done before" in line for line in said)
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_other_options_do_not_resume() -> None:
    def log(line: str) -> None:
        said.append(line)
        if "block 1 of" in line:
            raise _KilledError

    said: list[str] = []
    with pytest.raises(_KilledError):
        _quantized(Aqlm(codebooks=1, nbits=4), "llama", _context(log))
    said.clear()
    for quantizer, context in (
        (Aqlm(codebooks=1, nbits=3), _context(said.append)),
        (Aqlm(codebooks=1, nbits=4), _context(said.append, seed=1)),
        (Aqlm(codebooks=1, nbits=4), _context(said.append, n=9)),
    ):
        _quantized(quantizer, "llama", context)
    assert not any("was done before" in line for line in said)


@pytest.mark.long
def test_tuning_lowers_what_it_lowers() -> None:
    """The block's error on held-out batches, as logged, and the KL on held-out sequences."""
    said: list[str] = []
    _quantized(Aqlm(codebooks=1, nbits=4, finetune="e2e"), "llama", _context(said.append, n=48))
    blocks = [line.split("of the block ")[1].split(";")[0].split(", tuned ") for line in said if "tuned" in line]
    assert len(blocks) == 2 and all(float(after) < float(before) for before, after in blocks)
    epochs = [line.split("KL ")[1].split(" -> ") for line in said if "end-to-end" in line]
    assert len(epochs) == 5 and float(epochs[-1][1]) < float(epochs[-1][0])


def test_layers_of_a_width_that_the_group_does_not_divide() -> None:
    with pytest.raises(ModelError, match=r"layers\.0\.self_attn\.q_proj is 32 wide, which groups of 48 do not divide"):
        _quantized(Aqlm(codebooks=1, nbits=2, group=48), "llama", _context(n=2))
    with pytest.raises(ModelError, match="no layer of the model has a width"):
        _quantized(Aqlm(codebooks=1, nbits=2, group=48, skip_indivisible=True), "llama", _context(n=2))
    model = _quantized(Aqlm(codebooks=1, nbits=2, group=64, skip_indivisible=True), "llama", _context(n=2))
    found = {name for name, module in model.named_modules() if isinstance(module, AqlmLinear)}
    assert found == {f"model.layers.{i}.mlp.down_proj" for i in (0, 1)}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("aqlm", "needs bits, or codebooks and nbits"),
        ("aqlm:codebooks=2", "needs bits, or codebooks and nbits"),
        ("aqlm:5", "takes 8, 4, 3, 2 bits, not 5"),
        ("aqlm:2,group=4", "not both"),
        ("aqlm:codebooks=2,nbits=17", "nbits must be 1 to 16, not 17"),
        ("aqlm:2,finetune=yes", "must be one of none, block, e2e"),
    ],
)
def test_specs_that_make_no_sense(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        get_registry().quantizer(spec)


def test_the_shape_is_chosen_for_the_model_and_said() -> None:
    said: list[str] = []
    _quantized(Aqlm(4, finetune="none"), "llama", _context(said.append, n=2))
    assert "14 layers" in said[0] and "bits a weight" in said[0] and "15 bits" not in said[0]
    assert get_registry().quantizer("aqlm:codebooks=2,nbits=8,group=8") == Aqlm(codebooks=2, nbits=8)
