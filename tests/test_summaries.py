"""Summaries from the model to the comparison, with small random models that read as CodeT5 and PLBART do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import transformers

from qharness import ModelError, RunSpec, SamplesError, compare, run
from qharness.quantization.lm_eval_model import QHarnessLM
from tests.conftest import REPOSITORY
from tests.test_code2text import ROWS, write_mirror
from tests.tiny_models import make_model, tokenizer

LONG = {**ROWS[0], "code_tokens": ["x"] * 900}


def plbart_tokenizer(folder: Path) -> transformers.PLBartTokenizer:
    """The real class, over a vocabulary of letters."""
    text = folder / "text.txt"
    text.write_text("\n".join(row["code"] for row in ROWS) + "\nabcdefghijklmnopqrstuvwxyzNEW_LINE INDENT DEDENT\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "sentencepiece.bpe"), vocab_size=80, model_type="char", minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    return transformers.PLBartTokenizer(str(folder / "sentencepiece.bpe.model"), language_codes="base")


@pytest.fixture(scope="module")
def plbart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random PLBART that is sure of what it says."""
    folder = tmp_path_factory.mktemp("models") / "plbart"
    folder.mkdir()
    words = plbart_tokenizer(folder)
    config = transformers.PLBartConfig(
        vocab_size=len(words), d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=512, init_std=0.3,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, forced_eos_token_id=2,
        qharness_preset="plbart-sum-python",
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.PLBartForConditionalGeneration(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def runs(plbart: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("runs")
    mirror = write_mirror(folder / "mirror")
    return run(
        RunSpec(
            task="code2text-python-plbart", model=str(plbart), quant="rtn:2", max_new_tokens=12, data_dir=mirror,
            output=folder / "runs",
        )
    )  # fmt: skip


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_an_encoder_reads_the_beginning_and_its_own_tokens_after_it(plbart: Path) -> None:
    lm = QHarnessLM(str(plbart), device="cpu")
    python = lm.tokenizer.lang_code_to_id["__python__"]
    whole, cut = lm._prompt("def f", {}), lm._prompt("def f", {"max_source_tokens": 5})
    assert whole[-2:] == [lm.tokenizer.eos_token_id, python] and len(whole) > 5
    assert cut == [*whole[:3], *whole[-2:]]
    assert lm.generation.shortened == 1


def test_plbart_is_run_as_its_authors_run_it(runs: Any, plbart: Path) -> None:
    """Ten beams over the code's tokens, an end and __python__, from __en_XX__: transformers' own, one by one."""
    baseline = Path(runs.document["baseline"]["a"])
    words, model = (
        transformers.PLBartTokenizer.from_pretrained(
            plbart, language_codes="base", src_lang="python", tgt_lang="en_XX"
        ),
        transformers.PLBartForConditionalGeneration.from_pretrained(plbart),
    )
    for row in rows_of(baseline):
        made = model.generate(
            **words(row["prompt"], return_tensors="pt"), num_beams=10, early_stopping=True, max_new_tokens=12,
            decoder_start_token_id=words.lang_code_to_id["__en_XX__"], forced_eos_token_id=None, do_sample=False,
        )  # fmt: skip
        expected = words.decode(made[0], skip_special_tokens=True)
        assert row["completion"] == expected.split("\n")[0] and row["completion"]
    generation = json.loads((baseline / "run.json").read_text())["generation"]["code2text-python-plbart"]
    assert (generation["num_beams"], generation["early_stopping"], generation["max_gen_toks"]) == (10, True, 12)


def test_scores_are_compared_in_pairs(runs: Any) -> None:
    document = runs.document["baseline"]
    first, second = rows_of(Path(document["a"])), rows_of(runs.folder)
    scores = [[row["metrics"]["bleu"] for row in rows] for rows in (first, second)]
    means = [sum(each) / len(each) for each in scores]
    assert [document["bleu"]["a"], document["bleu"]["b"]] == pytest.approx(means)
    assert document["bleu"]["difference"] == pytest.approx(means[1] - means[0])
    assert document["metric"] == "bleu" and "paper" not in document and "pass@1" not in document
    assert document["n_pairs"] == document["n_problems"] == 2
    assert document["n_different"] == sum(
        a["completion"] != b["completion"] for a, b in zip(first, second, strict=True)
    )
    assert "examples" not in document
    shown = compare(document["a"], runs.folder, examples=1).document["examples"]
    gaps = [abs(b - a) for a, b in zip(*scores, strict=True)]
    (example,) = shown
    row = first[example["doc_id"]]
    assert gaps[example["doc_id"]] == max(gaps)
    assert (example["prompt"], example["reference"]) == (row["prompt"], row["reference"])
    assert example["reference"] == ["Write text to a file .", "Print it ."][example["doc_id"]]
    assert example["a"] == {"completion": row["completion"], "bleu": row["metrics"]["bleu"]}


def test_texts_and_programs_are_not_compared(runs: Any, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "samples.jsonl").write_text(
        '{"task": "t", "doc_id": 0, "sample": 0, "completion": "", "status": "passed", "passed": true}\n'
    )
    with pytest.raises(SamplesError, match="not run"):
        compare(runs.folder, tmp_path)


def test_compare_shows_what_differs(runs: Any, cli: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = cli("compare", runs.document["baseline"]["a"], runs.folder, "--examples", 1)
    assert done.returncode == 0, done.stderr
    assert "bleu" in done.stdout and "reference: " in done.stdout and "McNemar" not in done.stdout


def test_an_interrupted_search_goes_on(runs: Any, plbart: Path) -> None:
    before = (runs.folder / "samples.jsonl").read_bytes()
    journal = (runs.folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (runs.folder / "journal.jsonl").write_bytes(journal[0])
    (runs.folder / "run.json").unlink()
    spec = {**runs.document["spec"], "data_dir": Path(runs.document["spec"]["data_dir"]), "output": runs.folder.parent}
    again = run(RunSpec(**{**spec, "compare": False}))
    assert again.folder == runs.folder and (again.folder / "samples.jsonl").read_bytes() == before
    assert len((runs.folder / "journal.jsonl").read_bytes().splitlines()) == 2


def test_drawing_from_a_search_is_refused_before_anything_is_made(plbart: Path, tmp_path: Path) -> None:
    mirror = write_mirror(tmp_path)
    spec = RunSpec("code2text-python", str(plbart), temperature=0.5, data_dir=mirror, output=tmp_path / "runs")
    with pytest.raises(ModelError, match=r"temperature 0\.5 draws tokens, num_beams 10 searches"):
        run(spec)
    assert not (tmp_path / "runs").exists()


def test_long_functions_are_cut_and_counted(tmp_path: Path) -> None:
    make_model("t5", sharp=True).save_pretrained(tmp_path / "t5")
    tokenizer().save_pretrained(tmp_path / "t5")
    mirror = write_mirror(tmp_path / "mirror")
    with (mirror / "code2text/python-test.jsonl").open("a") as file:
        file.write(json.dumps(LONG) + "\n")
    spec = RunSpec(
        "code2text-python", str(tmp_path / "t5"), max_new_tokens=5, data_dir=mirror, output=tmp_path / "runs"
    )
    assert "1 prompts are longer than what the task reads, which is their beginning" in run(spec).document["notes"]


@pytest.mark.long
def test_the_stock_harness_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a model of its own; a random one scores little, but by the same metric."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("QHARNESS_DATA_DIR", str(write_mirror(tmp_path)))
    manager = TaskManager(include_path=str(REPOSITORY / "tasks/code2text"), include_defaults=False)
    model = HFLM(pretrained=make_model("t5"), tokenizer=tokenizer(), backend="seq2seq", device="cpu")
    results = lm_eval.simple_evaluate(model, tasks=["code2text-python"], task_manager=manager, bootstrap_iters=0)
    assert 0 <= results["results"]["code2text-python"]["bleu,none"] <= 100
