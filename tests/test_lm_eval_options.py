"""Options of lm-eval's command line with our model class and tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import lm_eval
import lm_eval.caching.cache
import pytest
from lm_eval.api.instance import Instance

from qharness import ModelError, SettingError
from qharness.evaluate.run.lm_eval_bridge import load_task, quiet, register_model
from qharness.models.lm import LoadedLM
from qharness.specs import DEFAULT_MODEL


def answers(model: Path | str, quant: str, **options: Any) -> list[str]:
    """The greedy answers of `lm-eval run --model qharness --tasks tiny-summary --limit 3`."""
    register_model()
    loaded = load_task("tiny-summary")
    with quiet():
        results = lm_eval.simple_evaluate(
            "qharness", {"pretrained": str(model), "quant": quant}, loaded.objects, task_manager=loaded.manager, limit=3,
            bootstrap_iters=0, device="cpu", gen_kwargs={"max_gen_toks": 8}, **options,
        )  # fmt: skip
    return [sample["resps"][0][0] for sample in results["samples"]["tiny-summary"]]


@pytest.mark.long
def test_models_share_no_answers_of_one_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's key of an answer is its request: two quantizers would answer alike.

    Asked is the bundled model: one that is trained here answers otherwise on another processor.
    """
    made: list[int] = []
    generate = LoadedLM.generate_until

    def counted(self: LoadedLM, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        made.append(len(requests))
        return generate(self, requests, disable_tqdm)

    monkeypatch.setattr(LoadedLM, "generate_until", counted)
    cache = str(tmp_path / "answers")
    kinds = ("none", "rtn:2", "none", "rtn:2")
    found = [answers(DEFAULT_MODEL, quant, use_cache=cache) for quant in kinds]
    assert made == [3, 3]  # the last two are read
    assert found[:2] == found[2:] == [answers(DEFAULT_MODEL, quant) for quant in kinds[:2]]
    assert found[0] != found[1]


def test_what_a_batch_decides_is_not_cached(memorized: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--use_cache: a completion by int8-dynamic.* depends on its batch"):
        answers(memorized, "int8-dynamic:activations=tensor", use_cache=str(tmp_path / "answers"))


def test_a_chat_template_that_is_missing(memorized: Path) -> None:
    from qharness.quantization.lm_eval_model import QHarnessLM

    with pytest.raises(ModelError, match=r"--apply_chat_template: the tokenizer of .* has no chat template"):
        QHarnessLM(str(memorized), device="cpu").chat_template(True)


def test_requests_of_another_seed_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--cache_requests`, whose key is the task's name."""
    monkeypatch.setattr(lm_eval.caching.cache, "PATH", str(tmp_path))
    prompts = []
    for seed in (1, 2):
        (task,) = load_task("tiny-python@char:0.5", seed=seed).tasks.values()
        task.build_all_requests(limit=2, cache_requests=True)
        prompts.append([request.args[0] for request in task.instances])
    assert prompts[0] != prompts[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tasks", "tiny-pyton"), "lm-eval: Tasks not found: tiny-pyton"),
    ],
)
def test_what_lm_eval_refuses_is_one_line(
    arguments: tuple[str, ...], said: str, cli: Callable[..., CompletedProcess[str]]
) -> None:
    done = cli("lm-eval", "run", "--model", "qharness", "--model_args", "pretrained=tinycoder", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"qharness: {said}") and "Traceback" not in done.stderr
