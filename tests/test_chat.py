"""A chat: what is asked, how it is rendered, what is refused, and that lm-eval's own way gives the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM

from qharness import ModelError, PluginError, RunResult, RunSpec, SettingError, compare, run, score
from qharness.evaluate.chat_task import ChatPrompt, ChatTask
from qharness.evaluate.run.lm_eval_bridge import LoadedTask, load_task, quiet
from qharness.models.chat_template import check_chat
from qharness.models.lm import LoadedLM
from qharness.models.loading import load_model
from qharness.registry import get_registry
from tests import chat_templates, tiny_models
from tests.test_cli import Cli, in_process, one_line

__all__ = ["in_process"]
PROBLEMS = 3
TOKENS = 24


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random model for each template."""
    top = tmp_path_factory.mktemp("chat-models")
    return {name: tiny_models.save_chat_model(top / name, text) for name, text in chat_templates.ALL.items()}


def asked(model: Path, output: Path, task: str = "tiny-python", **options: Any) -> RunSpec:
    settings = {"limit": PROBLEMS, "samples": 1, "temperature": 0.0, "max_new_tokens": TOKENS, **options}
    return RunSpec(task, model=str(model), output=output, compare=False, **settings)


@pytest.fixture(scope="module")
def made(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    output = tmp_path_factory.mktemp("chat-runs")
    return {name: run(asked(models[name], output, chat=True)) for name in ("plain", "trimming", "thinking")}


def lines(result: RunResult) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def evaluated(lm: LM, loaded: LoadedTask, **options: Any) -> dict[str, Any]:
    """What `lm-eval run --apply_chat_template` does with a task."""
    with quiet():
        found: dict[str, Any] = lm_eval.simple_evaluate(
            lm, tasks=loaded.objects, task_manager=loaded.manager, limit=PROBLEMS, bootstrap_iters=0,
            apply_chat_template=True, fewshot_as_multiturn=True, **options,
        )  # fmt: skip
    return found


@pytest.mark.parametrize(
    "name", ["trimming", *(pytest.param(name, marks=pytest.mark.long) for name in ("plain", "thinking"))]
)
def test_lm_evals_own_model_gives_the_same(name: str, models: dict[str, Path], made: dict[str, RunResult]) -> None:
    loaded = load_task("tiny-python")
    (task,) = loaded.tasks.values()
    task.set_config("repeats", 1)
    greedy = {"do_sample": False, "temperature": 0.0, "max_gen_toks": TOKENS}
    results = evaluated(HFLM(pretrained=str(models[name]), device="cpu", batch_size=1), loaded, gen_kwargs=greedy)
    theirs, ours = results["samples"]["tiny-python"], lines(made[name])
    assert [each["arguments"][0][0] for each in theirs] == [row["prompt"] for row in ours]
    assert [each["filtered_resps"][0][0]["completion"] for each in theirs] == [row["completion"] for row in ours]
    assert [each["filtered_resps"][0][0]["solution"] for each in theirs] == [row["solution"] for row in ours]
    assert results["results"]["tiny-python"]["pass@1,verdicts"] == made[name].metrics["pass@1"]
    assert task.get_config("generation_kwargs")["until"] == made[name].record.generation["tiny-python"]["until"]


class Canned(LM):
    """Answers each problem with its own solution, told in another way each time."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []
        self.stops: list[str] = []

    def apply_chat_template(self, history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return "".join(f"<{turn['role']}>{turn['content'].strip()}" for turn in history)

    tokenizer_name = "canned"

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        self.prompts += [request.args[0] for request in requests]
        self.stops += [stop for request in requests for stop in request.args[1]["until"]]
        return [self.answer(request.doc, number) for number, request in enumerate(requests)]

    def answer(self, doc: dict[str, Any], number: int) -> str:
        if doc["language"] == "java":
            whole = doc["prompt"] + doc["canonical_solution"] + "}\n"
        elif "canonical_solution" in doc and doc["prompt"].startswith('"""'):
            whole = doc["canonical_solution"]
        else:
            whole = doc["prompt"] + doc.get("joint", "") + doc["canonical_solution"]
        return whole.rstrip() + ("\n```\nThis is a solution. For another, see\n```\npass" if number % 2 else "\n")

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def canned(task: str, data_dir: Path | None = None) -> tuple[Canned, dict[str, Any]]:
    loaded, lm = load_task(task, data_dir), Canned()
    for each in loaded.tasks.values():
        each.set_config("repeats", 1)
    return lm, evaluated(lm, loaded)


@pytest.mark.parametrize("task", ["tiny-python", "tiny-java", "tiny-python@char:0.5"])
def test_answers_that_repeat_the_prompt_pass(task: str) -> None:
    """The raw stop sequences would cut them at their first line."""
    lm, results = canned(task)
    assert results["results"][task]["pass@1,verdicts"] == 1, results["samples"][task]
    assert set(lm.stops) == {"\n```"}
    language = "python" if "python" in task else "java"
    assert all(prompt.endswith(f"<assistant>```{language}\n") for prompt in lm.prompts)


def test_lm_evals_log_of_a_chat_is_scored_as_one(tmp_path: Path) -> None:
    """The log holds answers without the fence that began them, and says of no line that it is of a chat."""
    _, results = canned("tiny-python")
    verdicts = [sample["filtered_resps"][0][0] for sample in results["samples"]["tiny-python"]]
    tracker = EvaluationTracker(output_path=str(tmp_path))
    tracker.save_results_aggregated(results={**results, "samples": None}, samples=results["samples"])
    tracker.save_results_samples("tiny-python", results["samples"]["tiny-python"])
    (log,) = tmp_path.rglob("samples_tiny-python_*.jsonl")
    fields = ("solution", "status")
    for chat in (False, True):
        scored = score("tiny-python", log, chat=chat).samples
        assert [[row[name] for name in fields] for row in scored] == [
            [each[name] for name in fields] for each in verdicts
        ]


@pytest.mark.parametrize("task", ["humaneval", "humaneval-first-function", "mbpp", "mbpp-test", "mceval-python"])
def test_reference_solutions_in_a_chat_pass(task: str, data_dir: Path) -> None:
    _, results = canned(task, data_dir)
    assert results["results"][task]["pass@1,verdicts"] == 1, results["samples"][task]


def test_every_task_of_programs_says_what_it_asks(data_dir: Path) -> None:
    offers = get_registry().tasks.items()
    names = [name for name, offer in offers if offer.plugin.startswith("qharness.tasks.") and "code2text" not in name]
    assert {"humaneval", "mceval-java", "multiple-py", "tiny-summary"} <= set(names)
    for name in names:
        (task,) = load_task(name, data_dir).tasks.values()
        assert isinstance(task, ChatTask) and task.chat is not None
        doc = task.eval_docs[0]
        request = task.chat.request(doc)
        inside = doc["prompt"].partition("\n# Summary")[0].strip().strip('"').strip()
        assert inside in request and "{{" not in request
        assert "# Summary" not in request
        assert doc["tests" if "tests" in doc else "summary"] not in request


def test_variants_of_a_task_ask_the_same(data_dir: Path) -> None:
    for one, other in (("humaneval", "humaneval-first-function"), ("mbpp", "mbpp-test")):
        (first,), (second,) = (load_task(name, data_dir).tasks.values() for name in (one, other))
        assert first.chat == second.chat  # type: ignore[attr-defined]


def test_a_perturbed_task_asks_with_its_perturbed_prompt() -> None:
    lm, _ = canned("tiny-python@char:0.5")
    plain, _ = canned("tiny-python")
    assert len(lm.prompts) == len(plain.prompts) == PROBLEMS
    assert all(mine != theirs for mine, theirs in zip(lm.prompts, plain.prompts, strict=True))


def test_the_same_task_without_a_template_is_raw_again() -> None:
    loaded = load_task("tiny-python")
    (task,) = loaded.tasks.values()
    raw = list(task.get_config("generation_kwargs")["until"])
    evaluated(Canned(), loaded)
    assert task.get_config("generation_kwargs")["until"] == ["\n```"]
    task.build_all_requests(limit=1)
    assert task.instances[0].args[0] == task.eval_docs[0]["prompt"]
    assert task.instances[0].args[1]["until"] == raw


@pytest.mark.parametrize("name", chat_templates.ALL)
def test_a_prompt_has_one_begin_token_and_ends_where_the_answer_goes_on(name: str, models: dict[str, Path]) -> None:
    loaded = load_model(str(models[name]), "cpu")
    lm = LoadedLM(loaded)
    (task,) = load_task("tiny-python").tasks.values()
    with quiet():
        task.set_config("num_fewshot", 0)
        task.build_all_requests(
            limit=1, apply_chat_template=True, chat_template=lm.apply_chat_template, fewshot_as_multiturn=True
        )
    prompt = task.instances[0].args[0]
    assert prompt.endswith("```python\n")
    assert prompt.count("</s>") == 1, "the user's turn ends, the assistant's does not"
    ids = lm.tok_encode(prompt)
    assert ids.count(loaded.tokenizer.bos_token_id) == 1 and ids[0] == loaded.tokenizer.bos_token_id
    whole = prompt if prompt.startswith("<s>") else f"<s>{prompt}"
    assert ids == loaded.tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_a_run_records_that_it_is_a_chat(made: dict[str, RunResult], models: dict[str, Path]) -> None:
    result = made["plain"]
    assert result.document["chat"] is True and result.document["spec"]["chat"] is True
    assert "--tiny-python--chat--" in result.folder.name
    others = {
        run(asked(models["plain"], result.folder.parent, limit=1, chat=True, **options)).folder.name[-12:-4]
        for options in ({}, {"system": "Be brief."}, {"system": "Be long."})
    }
    assert len(others) == 3 and result.folder.name[-12:-4] in others


def test_a_raw_run_is_called_as_before(models: dict[str, Path], tmp_path: Path) -> None:
    result = run(asked(models["plain"], tmp_path, limit=1))
    assert result.document["chat"] is False and "chat" not in result.folder.name.partition("--")[2]
    assert result.record.generation["tiny-python"]["until"][0] == "\nclass"
    (row,) = lines(result)
    assert row["prompt"].startswith("from typing") and "solution" not in row


def test_the_system_text_and_the_switch_reach_the_prompt(models: dict[str, Path], tmp_path: Path) -> None:
    (row,) = lines(run(asked(models["plain"], tmp_path, limit=1, chat=True, system="Be brief.")))
    assert row["prompt"].startswith("<|system|>\nBe brief.</s>\n<|user|>\n")
    (row,) = lines(run(asked(models["thinking"], tmp_path, limit=1, chat=True, think=False)))
    assert row["prompt"].endswith("<|assistant|>\n<think>\n\n</think>\n\n```python\n")


def test_a_summary_is_asked_for_too(models: dict[str, Path], tmp_path: Path) -> None:
    (row,) = lines(run(asked(models["plain"], tmp_path, "tiny-summary", limit=1, samples=None, chat=True)))
    assert "Summarize" in row["prompt"] and row["prompt"].endswith("<|assistant|>\n") and "bleu" in row["metrics"]


REFUSALS = {
    "no-system": ({"system": "x"}, "--system: the chat template of .* has no system's turn"),
    "mute-system": ({"system": "x"}, "--system: the chat template of .* has no system's turn"),
    "plain": ({"think": False}, "--no-think: the chat template of .* has no switch"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_a_template_cannot_render_is_refused_first(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    options, message = REFUSALS[name]
    with pytest.raises(ModelError, match=message):
        run(asked(models[name], tmp_path / "runs", chat=True, **options))
    assert not (tmp_path / "runs").exists()


def test_a_template_without_an_answer_is_refused() -> None:
    tokenizer = tiny_models.tokenizer()
    with pytest.raises(ModelError, match="no chat template; a base model runs without --chat"):
        check_chat(tokenizer, "m", system=False, think=True)
    tokenizer.chat_template = chat_templates.NO_ANSWER
    with pytest.raises(ModelError, match="cannot be used"):
        check_chat(tokenizer, "m", system=False, think=True)


def test_models_that_take_no_chat_are_refused_in_one_line(in_process: Cli, random_llama: Path, tmp_path: Path) -> None:
    for architecture, words in (
        ("t5", "is an encoder-decoder model, which takes no chat"),
        ("llama", "no chat template"),
    ):
        folder = tiny_models.save_model(architecture, tmp_path / architecture)
        done = in_process("run", "--task", "tiny-python", "--model", folder, "--chat", "--output", tmp_path / "runs")
        assert words in done.stderr
        one_line(done)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("options", [{"system": "x"}, {"think": False}])
def test_settings_of_a_chat_need_a_chat(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="add --chat"):
        RunSpec("tiny-python", **options)


@pytest.mark.parametrize(
    "found", ["ask", {}, {"prefix": "x"}, {"instruction": "x", "until": "y"}, {"instruction": "x", "fence": "y"}]
)
def test_a_faulty_instruction_is_named(found: object) -> None:
    with pytest.raises(PluginError, match="task 'mine': its metadata's chat has"):
        ChatPrompt.of_metadata("mine", found)


def test_a_comparison_says_that_the_prompts_differ(
    made: dict[str, RunResult], models: dict[str, Path], tmp_path: Path, in_process: Cli
) -> None:
    raw = run(asked(models["plain"], tmp_path))
    found = compare(raw.folder, made["plain"].folder)
    assert found.document["prompts"] == {"a": "raw", "b": "chat"}
    assert "prompts" not in compare(raw.folder, raw.folder).document
    assert "raw -> chat" in in_process("compare", raw.folder, made["plain"].folder).stdout
