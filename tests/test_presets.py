"""Presets: names for models, the precision they stand for, and what is done to prompts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from qharness import ModelError, presets
from qharness.models import LoadedModel, loading
from qharness.models.lm import QHarnessLM
from qharness.presets import PRESETS, Convention, Preset
from qharness.study.grid import read_study
from tests.conftest import REPOSITORY
from tests.test_cli import Cli
from tests.tiny_models import make_model, save_model, tokenizer


def test_a_name_stands_for_an_id() -> None:
    for name, preset in PRESETS.items():
        assert preset.name == name and loading.locate(name).as_posix() == preset.id
        assert loading.identity(name) == loading.identity(preset.id) == preset.id
    assert loading.locate("tinycoder").is_dir() and loading.find_preset("tinycoder") is None


def test_a_folder_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model("llama", tmp_path / "codellama-7b")
    assert loading.load_config("codellama-7b").vocab_size == 260
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
    convention = Convention({"python": "# .py\n"}, {"padding_side": "left"}, "a")
    monkeypatch.setitem(PRESETS, "ours", Preset("ours", folder, "1", "float16", "no paper", "code", convention))
    monkeypatch.setitem(presets._BY_ID, folder, PRESETS["ours"])
    return folder


@pytest.mark.parametrize("by_name", [True, False])
def test_decoder_and_tokenizer_follow_the_convention(as_preset: str, by_name: bool) -> None:
    loaded = loading.load_model("ours" if by_name else as_preset)
    assert loaded.tokenizer.padding_side == "left"
    start = loaded.tokenizer.convert_tokens_to_ids("a")
    assert loaded.model.generation_config.decoder_start_token_id == start
    lm = QHarnessLM(loaded)
    assert lm.generation._decoder_start == start and lm.prefixes == {"python": "# .py\n"}


def test_a_decoder_start_that_is_no_token(as_preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = dataclasses.replace(PRESETS["ours"], convention=Convention(decoder_start="__en_XX__"))
    monkeypatch.setitem(PRESETS, "ours", odd)
    monkeypatch.setitem(presets._BY_ID, as_preset, odd)
    with pytest.raises(ModelError, match="has no token __en_XX__"):
        loading.load_model("ours")


def test_prompts_begin_as_incoders_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python only, and in what the model reads only: prompt_sha and the program are of the task's prompt."""
    from lm_eval.api.instance import Instance

    def ids(name: str, language: str) -> str:
        lm = QHarnessLM(LoadedModel(make_model("xglm"), tokenizer(), name))
        request = Instance("generate_until", {"language": language}, ("def f():", {"max_gen_toks": 4}), 0)
        (job,) = lm._jobs([request])
        return tokenizer().decode(job.prompt.ids)

    for name in ("incoder-1b", "facebook/incoder-1B"):
        assert ids(name, "python").endswith("<| file ext=.py |>\ndef f():")
        assert ids(name, "java").endswith("def f():") and "ext" not in ids(name, "java")
    assert "ext" not in ids("codegen-2b", "python")


def test_plbarts_tokenizer_options_are_its_own() -> None:
    """What transformers calls these options and tokens."""
    from transformers.models.plbart.tokenization_plbart import FAIRSEQ_LANGUAGE_CODES, FAIRSEQ_LANGUAGE_CODES_MAP

    convention = PRESETS["plbart-sum-python"].convention
    for code in convention.tokenizer.values():
        assert FAIRSEQ_LANGUAGE_CODES_MAP[code] in FAIRSEQ_LANGUAGE_CODES["base"]
    assert FAIRSEQ_LANGUAGE_CODES_MAP[convention.tokenizer["tgt_lang"]] == convention.decoder_start


def test_list_presets(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "presets", "--json").stdout)["presets"]}
    assert rows["codegen-6b"]["id"] == "Salesforce/codegen-6B-mono" and rows.keys() == PRESETS.keys()
    table = cli("list", "presets").stdout
    assert "codellama/CodeLlama-34b-hf" in table and "float16" in table


def test_a_preset_that_does_not_exist(cli: Cli) -> None:
    done = cli("footprint", "--model", "codegen-2bb", "--quant", "none")
    assert done.returncode == 2 and "did you mean codegen-2b" in done.stderr and len(done.stderr.splitlines()) == 1


# ------------------------------------------------------------------------------------------------------ their studies


def grid(name: str) -> dict[tuple[str, str, str], set[str]]:
    """Tasks by (model, quantizer's beginning, calibration set)."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for spec in read_study(REPOSITORY / f"examples/studies/{name}.toml").specs(Path("runs")):
        found.setdefault((spec.model, spec.quant, spec.calib or ""), set()).add(spec.task)
    return found


def test_the_second_papers_study() -> None:
    found = grid("giagnorio-2025")
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


@pytest.mark.parametrize("name", ["giagnorio-2025", "wei-2023"])
def test_a_study_is_planned_without_weights(name: str, cli: Cli, data_dir: Path, tmp_path: Path) -> None:
    file = REPOSITORY / f"examples/studies/{name}.toml"
    done = cli("study", file, "--dry-run", "--json", "--data-dir", data_dir, "--output", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    plans = json.loads(done.stdout)
    assert len(plans) == len({plan["folder"] for plan in plans}) > 20
    assert not any(plan["done"] or plan["error"] for plan in plans)
