"""`--backend llamacpp`: a GGUF file in this process gives what its dequantized model gives, and what a server gives."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance

from qharness import MissingDependencyError, ModelError, RunSpec, run
from qharness.cli.run_text import headings
from qharness.models import llamacpp
from qharness.models.checkpoint import Checkpoint
from qharness.specs import MaxLoss
from qharness.stats.comparison import compare
from qharness.stats.judged_runs import judge_pair, model_name
from tests import tiny_gguf
from tests.conftest import REPOSITORY

xllamacpp = pytest.importorskip("xllamacpp")

REAL = REPOSITORY / "build/real/smollm2-135m-instruct.gguf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """float32.gguf, and mixed.gguf with matrices of 4 and 8 bits, with room for prompts of single letters."""
    folder = tmp_path_factory.mktemp("gguf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_gguf, "CONTEXT", 1024)
        tiny_gguf.save_llama(folder / "float32.gguf", tiny_gguf.PLAIN)
        tiny_gguf.save_llama(folder / "mixed.gguf")
        patch.setattr(tiny_gguf, "CONTEXT", 64)
        tiny_gguf.save_llama(folder / "short.gguf")
    return folder


def spec(model: Path, output: Path, **changes: Any) -> RunSpec:
    given = {
        "task": "tiny-python", "model": str(model), "backend": "llamacpp", "samples": 1, "limit": 4,
        "max_new_tokens": 24, "temperature": 0.0, **changes,
    }  # fmt: skip
    return RunSpec(output=output, **given)


def completions(folder: Path) -> list[str]:
    return [json.loads(line)["completion"] for line in (folder / "samples.jsonl").read_text().splitlines()]


def agree(own: Path, other: Path) -> bool:
    """Whether the completions of two runs begin alike.

    After some twenty tokens llama.cpp's float16 cache may decide between two about as likely, and of bytes that are no
    characters, which a random model says, it holds back the last few.
    """
    pairs = [[text.removeprefix("```python\n")[:10] for text in texts] for texts in map(completions, (own, other))]
    assert all(len(set(texts)) == 4 for texts in pairs)
    return pairs[0] == pairs[1]


@pytest.mark.parametrize("chat", [False, True])
def test_in_float32_it_says_what_the_model_says(folder: Path, tmp_path: Path, chat: bool) -> None:
    """Token by token: the prompts are the same, and so is the end, whatever special tokens a random model says."""
    theirs = run(spec(folder / "float32.gguf", tmp_path, chat=chat, baseline=str(folder / "float32.gguf")))
    assert theirs.baseline is not None and theirs.baseline.document["spec"]["backend"] == "hf"
    assert agree(theirs.folder, theirs.baseline.folder)
    assert theirs.document["baseline"]["pass@1"]["difference"] == 0 and theirs.document["baseline"]["n_pairs"] == 4
    assert headings([theirs.baseline.record, theirs.record]) == ["by hf", "by llamacpp"]
    pair = compare(theirs.baseline.folder, theirs.folder)
    names = {model_name(theirs.record.spec), judge_pair(pair, MaxLoss(2.0)).candidate.name}
    assert names == {f"{folder / 'float32.gguf'} by llamacpp"}


def test_special_tokens_end_a_completion(folder: Path) -> None:
    """A random model says one soon; llama.cpp would go on after those that end no turn."""
    model = llamacpp.LlamaCppModel(Checkpoint(str(folder / "mixed.gguf")), "cpu")
    lm = model.lm(0, 3)
    sampled = {"temperature": 1.5, "do_sample": True, "max_gen_toks": 200}
    requests = [Instance("generate_until", {}, ("def f(a):", sampled), 0)] * 12
    texts = lm.generate_until(requests)
    assert len(set(texts)) == 12 and not any(mark in text for text in texts for mark in tiny_gguf.SPECIALS)
    assert {len(model.tokenizer(text)["input_ids"]) < 190 for text in texts} == {True, False} or max(
        map(len, texts)
    ) < 200
    assert lm.generate_until(requests) == texts  # known


def test_samples_repeat_and_a_run_resumes(folder: Path, tmp_path: Path) -> None:
    sampled = {"temperature": 0.8, "samples": 2, "limit": 2, "batch_size": 1}
    first = run(spec(folder / "mixed.gguf", tmp_path / "a", **sampled))
    assert len(set(completions(first.folder))) == 4
    resumed = tmp_path / "b" / first.folder.name
    resumed.mkdir(parents=True)
    journal = (first.folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (resumed / "journal.jsonl").write_text("".join(journal[:2]) + journal[2][:20])  # torn, as by a kill
    again = run(spec(folder / "mixed.gguf", tmp_path / "b", **sampled))
    assert again.folder == resumed and completions(again.folder) == completions(first.folder)


def test_a_server_of_the_same_file_says_the_same(folder: Path, tmp_path: Path, capfd: Any) -> None:
    """llama.cpp's own HTTP server, in chat and not; nothing is printed by either."""
    pytest.importorskip("openai")
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "float32.gguf")
    params.verbosity, params.n_parallel, params.n_ctx = -1, 1, 1024
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    url = f"{server.listening_address}/v1"
    for chat in (False, True):
        ours = run(spec(folder / "float32.gguf", tmp_path, chat=chat))
        theirs = run(spec("tiny", tmp_path, backend="openai", base_url=url, chat=chat))  # type: ignore[arg-type]
        assert agree(ours.folder, theirs.folder)
    del server
    printed = capfd.readouterr()
    assert "llama" not in printed.out and "ggml" not in printed.out + printed.err and "srv" not in printed.err


def test_its_bytes_are_those_of_the_file(folder: Path, tmp_path: Path) -> None:
    done = run(spec(folder / "mixed.gguf", tmp_path, limit=1))
    size = (folder / "mixed.gguf").stat().st_size
    assert {done.document["hosting"][f"{name}_bytes"] for name in ("resident", "weight", "storage")} == {size}
    assert any("completions are llama.cpp's" in note for note in done.document["notes"])


def test_a_long_prompt_is_cut_from_the_left(folder: Path, tmp_path: Path) -> None:
    done = run(spec(folder / "short.gguf", tmp_path, limit=2, max_new_tokens=8))
    assert "2 prompts were cut from the left to fit 64 tokens" in done.document["notes"]
    assert all(completions(done.folder))


def test_what_it_cannot_do(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "runs"
    with pytest.raises(ModelError, match="runs GGUF files, and model 'tinycoder' is none"):
        run(spec("tinycoder", output))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="--quant rtn:3 would have no effect"):
        run(spec(folder / "mixed.gguf", output, quant="rtn:3"))
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes((folder / "mixed.gguf").read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"damaged\.gguf"):
        run(spec(damaged, output))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "xllamacpp" else find(name, *a))
    with pytest.raises(MissingDependencyError, match=r"xllamacpp is needed: pip install 'qharness\[llamacpp\]'"):
        run(spec(folder / "mixed.gguf", output))
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="make real-models")
def test_a_real_model_agrees_with_its_dequantized_form(tmp_path: Path) -> None:
    """SmolLM2 at 4 bits: llama.cpp rounds activations to 8 bits, so most completions agree to their end, not all."""
    done = run(spec(REAL, tmp_path, chat=True, limit=6, max_new_tokens=32, baseline=str(REAL), batch_size=1))
    assert done.baseline is not None
    both = list(zip(completions(done.folder), completions(done.baseline.folder), strict=True))
    assert sum(own == other for own, other in both) >= 2
    assert all(own[:10] == other[:10] for own, other in both)
