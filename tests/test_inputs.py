"""What models are given when they read a text: the same for whoever calibrates, trains or measures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import qharness
from qharness import ModelError, block_linears, find_blocks, model_inputs
from qharness.errors import QHarnessError
from qharness.models.inputs import decoder_start_token_id
from qharness.noise import forward_passes
from qharness.plugins.aqlm.block_progress import PartCache
from qharness.plugins.aqlm.distillation import _held_out_error, cache_teacher, head_input
from qharness.plugins.aqlm.replay import Replay
from qharness.plugins.int8.observing import observe
from tests.conftest import REPOSITORY
from tests.tiny_models import CONFIGS, make_model

TEXT = torch.arange(11, 18)
ENCODER_DECODER = ["t5", "plbart"]


def read_by_int8(model: nn.Module, text: Tensor) -> None:
    observe(model, list(block_linears(model)), [text])


def read_by_aqlm(model: nn.Module, text: Tensor) -> None:
    replay = Replay.of(model, [text[None]], find_blocks(model))
    list(replay.calls(replay.blocks[-1]))


def read_by_aqlms_teacher(model: nn.Module, text: Tensor) -> None:
    head_input(model, text[None])


def read_by_noise(model: nn.Module, text: Tensor) -> None:
    forward_passes.run(model, [text], "test")


READERS = [read_by_int8, read_by_aqlm, read_by_aqlms_teacher, read_by_noise]


@contextmanager
def reading(model: nn.Module) -> Iterator[list[dict[str, list[int]]]]:
    """The token ids of each forward pass meanwhile."""
    seen: list[dict[str, list[int]]] = []

    def look(_module: nn.Module, _args: object, given: dict[str, object]) -> None:
        seen.append({name: value[0].tolist() for name, value in given.items() if isinstance(value, Tensor)})

    hook = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("length", [7, 6, 2, 1])
def test_all_read_a_text_alike(length: int, architecture: str, read: Callable[[nn.Module, Tensor], None]) -> None:
    model, text = make_model(architecture), TEXT[:length]
    ids = text.tolist()
    expected = {"input_ids": ids}
    if architecture in ENCODER_DECODER:
        half = (length + 1) // 2
        start = model.config.decoder_start_token_id
        expected = {"input_ids": ids[:half], "decoder_input_ids": [start, *ids[half:-1]]}
    with reading(model) as seen:
        read(model, text)
    assert seen and all(each == expected for each in seen)


def test_the_decoder_reads_what_transformers_makes_of_labels() -> None:
    model = make_model("t5")
    batch = torch.stack([TEXT, TEXT + 20])
    given = model_inputs(model, batch)
    source, target = batch[:, :4], batch[:, 4:].contiguous()
    assert torch.equal(given["input_ids"], source)
    assert torch.equal(given["decoder_input_ids"], model.prepare_decoder_input_ids_from_labels(labels=target))
    with torch.no_grad():
        logits = model(**given).logits
        loss = model(input_ids=source, labels=target).loss
    assert torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()) == pytest.approx(loss.item())


def test_the_decoder_begins_as_it_does_when_the_model_generates() -> None:
    model = make_model("plbart")
    model.generation_config.decoder_start_token_id = 9
    begun = model.generate(TEXT[None], max_new_tokens=1, do_sample=False)[0, 0].item()
    assert model_inputs(model, TEXT[None])["decoder_input_ids"][0, 0] == begun == 9
    model.generation_config.decoder_start_token_id = None
    assert decoder_start_token_id(model) == model.config.decoder_start_token_id
    model.config.decoder_start_token_id = model.generation_config.bos_token_id = None
    with pytest.raises(ModelError, match="no decoder_start_token_id"):
        model_inputs(model, TEXT[None])


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_a_text_without_tokens(architecture: str) -> None:
    model, nothing = make_model(architecture), TEXT[:0]
    with pytest.raises(ModelError, match="without tokens"):
        model_inputs(model, nothing[None])
    with reading(model) as seen:
        observe(model, list(block_linears(model)), [nothing, TEXT])
        forward_passes.run(model, [nothing, TEXT], "test")
    assert len(seen) == 2


@pytest.mark.parametrize("error", [OSError(), RuntimeError("")])
def test_an_error_without_a_message(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def save(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(QHarnessError, match=f"put aside there: {type(error).__name__}"):
        forward_passes.full_precision(make_model("llama"), [TEXT], tmp_path)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_the_teachers_error_is_a_mean_over_what_is_predicted(architecture: str, tmp_path: Path) -> None:
    model, batches = make_model(architecture, sharp=True), [TEXT[None], TEXT[None, :4] + 30]
    cache_teacher(model, batches, PartCache(tmp_path))
    with torch.no_grad():
        wanted = [model(**model_inputs(model, ids)).logits[0].log_softmax(-1) for ids in batches]
        next(iter(find_blocks(model).values())).apply(lambda m: m.weight.mul_(0.8) if isinstance(m, nn.Linear) else m)
        found = [model(**model_inputs(model, ids)).logits[0].log_softmax(-1) for ids in batches]
    kl = torch.cat([(p.exp() * (p - q)).sum(-1) for p, q in zip(wanted, found, strict=True)])
    assert _held_out_error(model, batches, [0, 1], PartCache(tmp_path)) == pytest.approx(kl.mean().item(), rel=1e-4)


@pytest.mark.parametrize(
    "name", ["model_inputs", "block_linears", "find_blocks", "head_linear", "untie_head", "replace_module"]
)
def test_the_docs_name_what_a_plugin_does_to_a_model(name: str) -> None:
    assert name in qharness.__all__
    arguments = ", ".join(inspect.signature(getattr(qharness, name)).parameters)
    assert f"`{name}({arguments})`" in (REPOSITORY / "docs/plugins.md").read_text()
