"""`--backend vllm`: its errors, what lm-eval's class is made with, and whole runs on a stand-in for vLLM itself."""

from __future__ import annotations

import importlib.util
import inspect
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import transformers
from pydantic import TypeAdapter
from tokenizers import AddedToken
from transformers import LlamaConfig, LlamaForCausalLM

from qharness import MissingDependencyError, ModelError, RunSpec, UnknownNameError, compare, run
from qharness.models.checkpoint import Checkpoint, locate
from qharness.models.vllm import arguments
from qharness.specs import ModelSpec
from tests.asked import bound, resolved
from tests.conftest import REPOSITORY
from tests.test_encoding import bare, template
from tests.tiny_models import save_model
from tests.tiny_tokenizers import llama

STANDINS = REPOSITORY / "tests/standins/for_vllm"


def spec(output: Path, **changes: Any) -> RunSpec:
    given = {"task": "tiny-python", "backend": "vllm", "samples": 2, "limit": 2, "max_new_tokens": 24, **changes}
    return RunSpec(output=output, **given)


def lines(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def standin() -> Iterator[Any]:
    """The stand-in for vLLM, importable from here to the end of this file; lm-eval's class is the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STANDINS)
        import vllm

        assert Path(vllm.__file__).is_relative_to(STANDINS)
        yield vllm
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture
def vllm(standin: Any) -> Any:
    """The stand-in, asked nothing yet."""
    standin.MADE.clear()
    return standin


def test_without_vllm_it_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm"):
        pytest.skip("vllm is installed here")
    with pytest.raises(MissingDependencyError, match="vllm is needed: `make vllm` makes an environment"):
        run(spec(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"quantizes nothing: write a checkpoint with `qharness quantize --quant rtn:3`"
    ):
        run(spec(tmp_path, quant="rtn:3"))
    with pytest.raises(UnknownNameError, match="unknown backend 'vlm': did you mean vllm"):
        run(spec(tmp_path, backend="vlm"))


def test_a_backend_has_folders_of_its_own_and_hf_those_it_had(tmp_path: Path) -> None:
    from qharness.evaluate.run.lm_eval_bridge import load_task
    from qharness.evaluate.run.run_plan import plan_run

    task, model = load_task("tiny-python"), resolved("tinycoder")
    ours, theirs = (plan_run(spec(tmp_path, backend=name), model, task).folder.name for name in ("hf", "vllm"))
    assert ours != theirs and ours[:-12] == theirs[:-12]


def test_lm_evals_class_takes_our_arguments(vllm: Any, tmp_path: Path) -> None:
    from lm_eval.models.vllm_causallms import VLLM

    given = arguments(ModelSpec("tinycoder", seed=7), Checkpoint("tinycoder"), 4)
    inspect.signature(VLLM).bind(**given)
    named = inspect.signature(VLLM).parameters
    assert set(given) <= set(named), "an argument would pass by its **kwargs into vLLM"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"quantization_config": {"quant_method": "aqlm", "in_group_size": 8, "out_group_size": 1}},
            r"is quantized by aqlm, which vLLM 0\.18\.0 does not load",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "ignore": []}, "tie_word_embeddings": False},
            r"the output head of .* is quantized, which vLLM 0\.18\.0 does not load; .* head=false writes none",
        ),
    ],
)
def test_a_checkpoint_that_vllm_does_not_load_is_refused_before_anything_is_made(
    changed: dict[str, object], message: str, vllm: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(locate("tinycoder"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(ModelError, match=message) as caught:
        run(spec(tmp_path / "runs", model=str(folder)))
    assert "\n" not in str(caught.value) and not vllm.MADE and not (tmp_path / "runs").exists()


def test_what_pydantic_says_is_told_whole(vllm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first line only counts its errors."""

    def refuse(self: Any, **_: Any) -> None:
        TypeAdapter(int).validate_python("no number")

    monkeypatch.setattr(vllm.LLM, "__init__", refuse)
    with pytest.raises(ModelError, match="vLLM does not run model 'tinycoder': Input should be a valid integer"):
        run(spec(tmp_path / "runs"))


def test_on_a_cpu_it_takes_no_more_memory_than_is_free(vllm: Any, tmp_path: Path) -> None:
    run(spec(tmp_path, samples=1, limit=1, max_new_tokens=1))
    (made,) = vllm.MADE
    assert 0 < made["kv_cache_memory_bytes"] < psutil.virtual_memory().total // 2
    assert made["enable_chunked_prefill"] is False  # else its engine dies of requests with a seed


def test_a_whole_run(vllm: Any, tmp_path: Path) -> None:
    """Through lm-eval's own class: greedily it says what `hf` says; sampled, it repeats, resumes and is compared."""
    greedy = {"temperature": 0.0, "samples": 1, "max_new_tokens": 60}
    ours = run(spec(tmp_path, backend="hf", **greedy))
    theirs = run(spec(tmp_path, **greedy))
    fields = ("doc_id", "sample", "completion", "status")
    assert [[row[name] for name in fields] for row in lines(theirs.folder)] == [
        [row[name] for name in fields] for row in lines(ours.folder)
    ]
    assert theirs.document["hosting"]["resident_bytes"] is None and theirs.document["hosting"]["parameters"] > 1e6
    assert any("completions are vLLM's (0.18.0)" in note for note in theirs.document["notes"])
    assert theirs.document["spec"]["backend"] == "vllm"
    assert ours.document["coupled"] and not theirs.document["coupled"]
    assert not compare(ours.folder, theirs.folder).coupled


def test_samples_repeat_and_a_run_resumes(vllm: Any, tmp_path: Path) -> None:
    first = run(spec(tmp_path / "a", temperature=0.8))
    completions = [row["completion"] for row in lines(first.folder)]
    assert len(set(completions)) == 4  # of one prompt, too, they differ
    resumed = spec(tmp_path / "b", temperature=0.8)
    folder = tmp_path / "b" / first.folder.name
    folder.mkdir(parents=True)
    journal = (first.folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(journal[:2]) + journal[2][:20])  # torn, as by a kill
    vllm.MADE.clear()
    again = run(resumed)
    assert vllm.MADE[0]["completions"] == 2
    assert lines(again.folder) == lines(first.folder)


def test_a_checkpoint_is_compared_with_its_parent(vllm: Any, tmp_path: Path) -> None:
    from qharness.quantization.checkpoint_export import export_checkpoint

    export_checkpoint(bound("tinycoder", "rtn:2"), tmp_path / "small")
    done = run(spec(tmp_path / "runs", model=str(tmp_path / "small"), baseline="tinycoder", samples=1))
    assert done.document["baseline"]["n_pairs"] == 2
    assert done.document["baseline"]["pass@1"]["b"] <= done.document["baseline"]["pass@1"]["a"]
    assert [made["model"] for made in vllm.MADE][1] == str(tmp_path / "small")


def test_prompts_are_those_of_hf_whatever_the_tokenizer_adds(vllm: Any, tmp_path: Path) -> None:
    """An end token after each text, and none at all."""
    ended = tmp_path / "ended"
    shutil.copytree(locate("tinycoder"), ended)
    template(transformers.AutoTokenizer.from_pretrained(ended), "$A </s>").save_pretrained(ended)
    greedy = {"temperature": 0.0, "samples": 1, "max_new_tokens": 60}
    ours = run(spec(tmp_path / "a", backend="hf", **greedy))
    theirs = run(spec(tmp_path / "b", model=str(ended), **greedy))
    assert [row["completion"] for row in lines(theirs.folder)] == [row["completion"] for row in lines(ours.folder)]
    nameless = save_model("llama", tmp_path / "nameless")
    for path in nameless.glob("*token*"):
        path.unlink()
    bare().save_pretrained(nameless)
    assert len(lines(run(spec(tmp_path / "c", model=str(nameless), **greedy)).folder)) == 2


def test_special_tokens_end_completions_as_with_hf(vllm: Any, tmp_path: Path) -> None:
    """Of a random model that says one every few tokens, and whose tokenizer drops a first space."""
    words = llama()
    marks = [AddedToken(words.convert_ids_to_tokens(number), special=True) for number in range(300, 315)]
    words.add_special_tokens({"additional_special_tokens": marks})
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        initializer_range=0.5, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "m")
    words.save_pretrained(tmp_path / "m")
    greedy = {"temperature": 0.0, "samples": 1, "max_new_tokens": 60, "model": str(tmp_path / "m"), "limit": 12}
    ours, theirs = (
        [row["completion"] for row in lines(run(spec(tmp_path / name, backend=name, **greedy)).folder)]
        for name in ("hf", "vllm")
    )
    assert ours == theirs and len({len(text) for text in ours}) > 3
    assert any(text.startswith(" ") for text in ours)
