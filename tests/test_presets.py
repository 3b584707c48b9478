"""Presets: names that stand for ids, precision, and how the papers' models are prompted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers
from lm_eval.api.instance import Instance

from qharness import ModelError, RunSpec
from qharness.evaluate.bridge import load_task
from qharness.evaluate.cells import make_cell
from qharness.models import Export, export_checkpoint, load_model
from qharness.models.lm import QHarnessLM
from qharness.models.loading import identity, load_tokenizer, locate, own_dtype, resolve_dtype
from qharness.presets import find_preset, presets
from tests.tiny_models import CONFIGS, make_model, tokenizer

Cli = Callable[..., subprocess.CompletedProcess[str]]
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


def prompts(lm: QHarnessLM, *docs: Mapping[str, str]) -> list[list[int]]:
    """The tokens that reach the model."""
    requests = [Instance("generate_until", doc, ("def f", {}), n, ("t", n, 1)) for n, doc in enumerate(docs)]
    by_document = {job.prompt.draws[0].document: list(job.prompt.ids) for job in lm._jobs(requests)}
    return [by_document[n] for n in range(len(docs))]


def test_every_preset_is_one_model_with_a_dtype_that_exists() -> None:
    assert len({preset.id for preset in presets().values()}) == len(presets()) > 10
    for name, preset in presets().items():
        assert isinstance(getattr(torch, preset.dtype), torch.dtype)
        assert preset.paper in ("wei-2023", "giagnorio-2025") and preset.parameters[-1] in "MB"
        assert find_preset(name) is preset is find_preset(preset.id)


def test_a_name_stands_for_its_id_and_brings_its_dtype() -> None:
    hub = "codellama/CodeLlama-7b-hf"
    assert locate("codellama-7b").as_posix() == identity("codellama-7b") == hub
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert resolve_dtype("auto", gpu, "codellama-7b") is torch.float16
    assert resolve_dtype("bfloat16", gpu, "codellama-7b") is torch.bfloat16
    assert resolve_dtype("auto", cpu, "codellama-7b") is torch.float32
    assert resolve_dtype("auto", gpu, hub) == "auto"
    config = CONFIGS["llama"]()
    config.dtype = torch.bfloat16
    assert own_dtype(config, name="codellama-7b") is torch.float16 and own_dtype(config, name=hub) is torch.bfloat16


def test_a_run_of_a_name_is_the_run_of_its_id(tmp_path: Path) -> None:
    task = load_task("tiny-python")
    spec = RunSpec("tiny-python", "codegen-350m", device="cpu", output=tmp_path)
    one, other = (make_cell(RunSpec(**{**vars(spec), "model": name}), task) for name in presets_of("codegen-350m"))
    assert one.folder == other.folder and one.spec == other.spec
    assert one.spec.model == "Salesforce/codegen-350M-mono"


def presets_of(name: str) -> tuple[str, str]:
    return name, presets()[name].id


def test_a_prompt_begins_as_its_language_asks(tmp_path: Path) -> None:
    lm = QHarnessLM(load_model(str(incoder(tmp_path)), "cpu"))
    python, java, text = prompts(lm, {"language": "python"}, {"language": "java"}, {})
    begin = lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert lm.tokenizer.decode(python[1:]) == PREFIX + "def f" and python[0] == begin
    assert lm.tokenizer.decode(java[1:]) == "<| file ext=.java |>\ndef f"
    assert text == [begin, *lm.tokenizer.encode("def f")]


def test_a_token_that_the_tokenizer_adds_is_not_added_again(tmp_path: Path) -> None:
    loaded = load_model(str(incoder(tmp_path)), "cpu")
    lm = QHarnessLM(loaded)
    begin = lm.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    lm.tok_encode = lambda text: [begin, 9, 8]  # type: ignore[method-assign]
    assert prompts(lm, {}) == [[begin, 9, 8]]


def test_a_quantized_checkpoint_is_prompted_as_its_model(tmp_path: Path) -> None:
    folder = tmp_path / "quantized"
    export_checkpoint(Export(str(incoder(tmp_path / "model")), "rtn:8", folder, device="cpu"))
    (ids,) = prompts(QHarnessLM(str(folder), device="cpu"), {"language": "python"})
    assert tokenizer().decode(ids[1:]).startswith(PREFIX)


def test_a_model_without_preset_is_prompted_as_it_is(random_llama: Path) -> None:
    lm = QHarnessLM(str(random_llama), device="cpu")
    assert prompts(lm, {"language": "python"}) == [lm.tok_encode("def f")]


def test_a_tokenizer_without_the_tokens_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no <\|endoftext\|>, with which preset 'incoder-1b'"):
        load_model(str(incoder(tmp_path, "<pad>")), "cpu")


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
    config.vocab_size, config.qharness_preset = len(known) + 8, "plbart-base-sum"
    transformers.AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    lm = QHarnessLM(str(folder), device="cpu")
    python, english = known.convert_tokens_to_ids(["__python__", "__en_XX__"])
    assert prompts(lm, {})[0][-2:] == [known.eos_token_id, python]
    assert lm.generation._decoder_start == english != config.decoder_start_token_id


def test_presets_are_listed(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "presets", "--json").stdout)["presets"]}
    assert list(rows) == list(presets())
    assert rows["incoder-1b"]["id"] == "facebook/incoder-1B" and rows["incoder-1b"]["prefixes"]["python"] == PREFIX


def test_a_tokenizer_that_says_it_is_llamas_keeps_its_spaces(tmp_path: Path) -> None:
    """DeepSeek-Coder's is of bytes and says so; earlier versions of transformers 5 lost all spaces with such a one."""
    CONFIGS["llama"]().save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    about = tmp_path / "tokenizer_config.json"
    about.write_text(json.dumps({"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}))
    found = load_tokenizer(str(tmp_path))
    assert found.decode(found.encode("def f(a, b):\n    pass", add_special_tokens=False)) == "def f(a, b):\n    pass"
