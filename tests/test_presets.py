"""Presets: names for models, the precision they stand for, and what is done to prompts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers
from lm_eval.api.instance import Instance

from qharness import ModelError
from qharness.models import loading, presets
from qharness.models.checkpoint import Checkpoint, find_preset, locate
from qharness.models.lm import LoadedLM
from qharness.models.presets import PRESETS, Convention, Preset
from qharness.quantization.checkpoint_export import export_checkpoint
from qharness.quantization.lm_eval_model import QHarnessLM
from qharness.study.study_file import read_study
from tests.asked import bound
from tests.conftest import REPOSITORY
from tests.test_cli import Cli
from tests.tiny_models import CONFIGS, make_model, save_model, tokenizer


def test_a_name_stands_for_an_id() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name and locate(name).as_posix() == preset.id
        assert Checkpoint(name).identity == Checkpoint(preset.id).identity == preset.id
    assert locate("tinycoder").is_dir() and find_preset("tinycoder") is None


def test_a_folder_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model("llama", tmp_path / "codellama-7b")
    assert Checkpoint("codellama-7b").config.vocab_size == 260
    assert loading.preset_dtype("auto", "codellama-7b") == "auto"


def test_auto_is_the_papers_precision_on_a_gpu() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for name, expected in (("codegen-2b", torch.float32), ("codellama-7b", torch.float16), ("some/model", "auto")):
        assert loading.resolve_dtype("auto", cuda, name) == expected
        assert loading.resolve_dtype("auto", cpu, name) == torch.float32
        assert loading.resolve_dtype("bfloat16", cuda, name) == torch.bfloat16
        assert loading.resolve_dtype("float16", cpu, name) == torch.float16


@pytest.fixture
def as_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A random encoder-decoder model on disk, as if it were PLBART's: found by its path, as those are by their ids."""
    folder = save_model("plbart", tmp_path / "plbart").as_posix()
    convention = Convention("", {"python": "# .py\n"}, {"padding_side": "left"}, "a")
    monkeypatch.setitem(PRESETS, "ours", Preset("ours", folder, "1", "float16", "no paper", convention))
    monkeypatch.setitem(presets._BY_ID, folder, PRESETS["ours"])
    return folder


@pytest.mark.parametrize("by_name", [True, False])
def test_decoder_and_tokenizer_follow_the_convention(as_preset: str, by_name: bool) -> None:
    loaded = loading.load_model("ours" if by_name else as_preset)
    assert loaded.tokenizer.padding_side == "left"
    start = loaded.tokenizer.convert_tokens_to_ids("a")
    assert loaded.model.generation_config.decoder_start_token_id == start
    lm = LoadedLM(loaded)
    assert lm.generation.decoder_start_token_id == start and lm.convention.prefixes == {"python": "# .py\n"}


def test_a_decoder_start_that_is_no_token(as_preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = dataclasses.replace(PRESETS["ours"], convention=Convention(decoder_start_token="__en_XX__"))
    monkeypatch.setitem(PRESETS, "ours", odd)
    monkeypatch.setitem(presets._BY_ID, as_preset, odd)
    with pytest.raises(ModelError, match="has no token __en_XX__"):
        loading.load_model("ours")


PREFIX = "<| file ext=.py |>\n"


def incoder(folder: Path, token: str = "<|endoftext|>") -> Path:
    """A random model of InCoder's architecture that says which preset it is, as a copy in a folder does."""
    model = make_model("xglm")
    model.config.qharness_preset = "incoder-1b"
    model.save_pretrained(folder)
    found = tokenizer()
    found.add_special_tokens({"pad_token": token})  # an id that the model has: <pad>'s is not needed
    found.save_pretrained(folder)
    return folder


def prompts(lm: LoadedLM, *docs: Mapping[str, str]) -> list[list[int]]:
    """The tokens that reach the model."""
    requests = [Instance("generate_until", doc, ("def f", {}), n, ("t", n, 1)) for n, doc in enumerate(docs)]
    by_document = {job.prompt.samples[0].document: list(job.prompt.ids) for job in lm._jobs(requests)}
    return [by_document[n] for n in range(len(docs))]


def test_a_prompt_begins_as_its_language_asks(tmp_path: Path) -> None:
    lm = LoadedLM(loading.load_model(str(incoder(tmp_path)), "cpu"))
    python, java, text = prompts(lm, {"language": "python"}, {"language": "java"}, {})
    begin = lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert lm.tokenizer.decode(python[1:]) == PREFIX + "def f" and python[0] == begin
    assert java == text
    assert text == [begin, *lm.tokenizer.encode("def f")]


def test_a_token_that_the_tokenizer_adds_is_not_added_again(tmp_path: Path) -> None:
    loaded = loading.load_model(str(incoder(tmp_path)), "cpu")
    lm = LoadedLM(loaded)
    begin = lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    lm.tok_encode = lambda text: [begin, 9, 8]  # type: ignore[method-assign]
    assert prompts(lm, {}) == [[begin, 9, 8]]


def test_a_quantized_checkpoint_is_prompted_as_its_model(tmp_path: Path) -> None:
    folder = tmp_path / "quantized"
    export_checkpoint(bound(incoder(tmp_path / "model"), "rtn:8", device="cpu"), folder)
    (ids,) = prompts(QHarnessLM(str(folder), device="cpu"), {"language": "python"})
    assert tokenizer().decode(ids[1:]).startswith(PREFIX)


def test_a_model_without_preset_is_prompted_as_it_is(random_llama: Path) -> None:
    lm = QHarnessLM(str(random_llama), device="cpu")
    assert prompts(lm, {"language": "python"}) == [lm.tok_encode("def f")]


def test_a_tokenizer_without_the_tokens_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no token <\|endoftext\|>"):
        loading.load_model(str(incoder(tmp_path, "<pad>")), "cpu")


def test_plbart_reads_python_and_writes_english(tmp_path: Path) -> None:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("def add ( a , b ) : return a + b\nReturns the sum of two numbers .\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(sentences), model_prefix=str(tmp_path / "plbart"), vocab_size=31, num_threads=1, minloglevel=2
    )
    folder = tmp_path / "model"
    known = transformers.PLBartTokenizer(str(tmp_path / "plbart.model"), language_codes="base")
    known.save_pretrained(folder)
    config = CONFIGS["plbart"]()
    config.vocab_size, config.qharness_preset = len(known) + 8, "plbart-sum-python"
    transformers.AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    lm = QHarnessLM(str(folder), device="cpu")
    python, english = known.convert_tokens_to_ids(["__python__", "__en_XX__"])
    assert prompts(lm, {})[0][-2:] == [known.eos_token_id, python]
    assert lm.generation.decoder_start_token_id == english != config.decoder_start_token_id


def test_a_tokenizer_that_says_it_is_llamas_keeps_its_spaces(tmp_path: Path) -> None:
    """DeepSeek-Coder's is of bytes and says so; earlier versions of transformers 5 lost all spaces with such a one."""
    CONFIGS["llama"]().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    about = tmp_path / "tokenizer_config.json"
    about.write_text(json.dumps({"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}))
    found = loading.load_tokenizer(Checkpoint(str(tmp_path)))
    assert found.decode(found.encode("def f(a, b):\n    pass", add_special_tokens=False)) == "def f(a, b):\n    pass"


def test_plbarts_tokenizer_options_are_its_own() -> None:
    """What transformers calls these options and tokens."""
    from transformers.models.plbart.tokenization_plbart import FAIRSEQ_LANGUAGE_CODES, FAIRSEQ_LANGUAGE_CODES_MAP

    convention = PRESETS["plbart-sum-python"].convention
    for code in convention.tokenizer.values():
        assert FAIRSEQ_LANGUAGE_CODES_MAP[code] in FAIRSEQ_LANGUAGE_CODES["base"]
    assert FAIRSEQ_LANGUAGE_CODES_MAP[convention.tokenizer["tgt_lang"]] == convention.decoder_start_token


def test_list_presets(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "presets", "--json").stdout)["presets"]}
    assert rows["codegen-6b"]["id"] == "Salesforce/codegen-6B-mono" and rows.keys() == PRESETS.keys()
    table = cli("list", "presets").stdout
    assert "codellama/CodeLlama-34b-hf" in table and "float16" in table
    assert rows["smollm2-135m-instruct"]["chat"] and "GGUF" in rows["smollm2-135m-instruct"]["tried"]
    assert not rows["codellama-7b"]["chat"] and not rows["codellama-7b-instruct"]["tried"]


def test_the_docs_table_is_the_table() -> None:
    written = (REPOSITORY / "docs/presets.md").read_text()
    listed = [line for line in written.splitlines() if line.startswith("| `") and line.count("|") == 5]
    instruct = [each for each in PRESETS.values() if each.chat]
    assert listed == [f"| `{each.name}` | `{each.id}` | {each.parameters} | {each.family} |" for each in instruct]
    assert all(bool(each.paper) != bool(each.family) for each in PRESETS.values())
    assert len({each.id for each in PRESETS.values()}) == len(PRESETS)


def test_a_preset_that_does_not_exist(cli: Cli) -> None:
    done = cli("footprint", "--model", "codegen-2bb", "--quant", "none")
    assert done.returncode == 2 and "did you mean codegen-2b" in done.stderr and len(done.stderr.splitlines()) == 1


# ------------------------------------------------------------------------------------------------------ their studies


def grid(*names: str) -> dict[tuple[str, str, str], set[str]]:
    """Tasks by (model, quantizer's beginning, calibration set)."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for name in names:
        for spec in read_study(REPOSITORY / f"examples/studies/{name}.toml").specs(Path("runs")):
            found.setdefault((spec.model, spec.quant, spec.calib or ""), set()).add(spec.task)
    return found


def test_the_second_papers_studies() -> None:
    found = grid(*(f"giagnorio-2025-rq{n}" for n in (1, 2, 3)))
    tasks = {"multiple-py", "multiple-java", "mceval-python", "mceval-java"}
    assert all(each == tasks for each in found.values())
    models = {preset.name for preset in PRESETS.values() if preset.paper.startswith("Giagnorio")}
    assert {model for model, _, _ in found} == models
    calibrated = [(model, calib.partition(":")[0]) for model, quant, calib in found if calib]
    for model in ("codellama-7b", "deepseek-coder-6.7b"):
        # RQ1 and RQ2: four precisions on three sets; fine-tuned, 3 and 2 bits on random (RQ1) and 2 on mixed (RQ3)
        counts = {name: calibrated.count((model, name)) for name in ("random", "mixed", "code")}
        assert counts == {"random": 6, "mixed": 5, "code": 4}
    for model in models - {"codellama-7b", "deepseek-coder-6.7b"}:
        assert [calib for each, calib in calibrated if each == model] == ["mixed", "mixed"]


@pytest.mark.parametrize("name", ["giagnorio-2025-rq2", "wei-2023-rq2"])
def test_a_study_is_planned_without_weights(name: str, cli: Cli, data_dir: Path, tmp_path: Path) -> None:
    file = REPOSITORY / f"examples/studies/{name}.toml"
    done = cli("study", file, "--dry-run", "--json", "--data-dir", data_dir, "--output", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    plans = json.loads(done.stdout)
    assert len(plans) == len({plan["folder"] for plan in plans}) > 20
    assert not any(plan["done"] or plan["error"] for plan in plans)
