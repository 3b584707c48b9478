"""GGUF files as models: loading, tokenizers, sizes, damage; and the quantizer that rounds as they do."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from gguf import GGMLQuantizationType as Type

from qharness import ModelError, SpecError
from qharness.models.checkpoint import Checkpoint
from qharness.models.gguf_header import read_header
from qharness.models.loading import LoadedModel, load_model, load_tokenizer
from qharness.plugins.gguf import Gguf
from qharness.plugins.gguf import rounded as our_rounded
from qharness.quantization.application import quantize
from qharness.quantization.checkpoint_export import export_checkpoint
from qharness.quantization.quantized_models import Models
from qharness.registry import get_registry
from qharness.spec import unbind
from tests.aqlm_models import logits
from tests.asked import bound, resolved, sizes
from tests.conftest import REPOSITORY
from tests.test_cli import Cli, in_process, one_line
from tests.tiny_gguf import CHAT_TEMPLATE, INNER, PLAIN, SPECIALS, VOCABULARY, WIDTH, rounded, save_llama, save_qwen2
from tests.tiny_models import make_model, save_model, tokenizer

__all__ = ["in_process"]

REAL = REPOSITORY / "build/real"
TYPES = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
TEXT = "def f(a):\n    return a + 123\n     7"
SAVE = {"llama": save_llama, "qwen2": save_qwen2}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("gguf") / "tiny-llama.gguf"
    save_llama(file)
    return file


# ---------------------------------------------------------------------------------------------------------- loading


@pytest.mark.parametrize("architecture", SAVE)
@pytest.mark.parametrize("types", [{"attn": Type.Q8_0, "ffn": Type.Q4_0}, PLAIN, {"attn": Type.F16, "ffn": Type.BF16}])
def test_logits_are_those_of_the_plain_model(architecture: str, types: dict[str, Type], tmp_path: Path) -> None:
    expected = SAVE[architecture](tmp_path / "model.gguf", types)
    loaded = load_model(str(tmp_path / "model.gguf"), "cpu")
    assert type(loaded.model) is type(expected) and loaded.model.dtype == torch.float32
    assert torch.equal(logits(loaded.model), logits(expected))


def test_a_folder_with_one_file_is_the_file(llama: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint(str(llama.parent))
    assert checkpoint.gguf_file == checkpoint.source == llama
    assert checkpoint.identity == Checkpoint(str(llama)).identity and checkpoint.short_name == "tiny-llama.gguf"
    save_model("llama", tmp_path)
    (tmp_path / "other.gguf").write_bytes(llama.read_bytes())
    assert Checkpoint(str(tmp_path)).gguf_file is None  # its config.json goes first


def test_another_file_of_the_same_name_is_another_model(llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(llama.read_bytes())
    before = Checkpoint(str(file)).identity
    save_llama(file, seed=1)
    assert Checkpoint(str(file)).identity != before


def test_dtypes_are_those_of_the_numbers(tmp_path: Path) -> None:
    kinds = {"f32": Type.F32, "f16": Type.F16, "bf16": Type.BF16, "q8": Type.Q8_0}
    found = {}
    for name, kind in kinds.items():
        save_llama(tmp_path / f"{name}.gguf", {"attn": kind})
        found[name] = str(Checkpoint(str(tmp_path / f"{name}.gguf")).config.dtype)
    assert found == {"f32": "torch.float32", "f16": "torch.float16", "bf16": "torch.bfloat16", "q8": "torch.float32"}


def test_the_tokenizer_is_the_files_own(llama: Path) -> None:
    found = load_model(str(llama), "cpu").tokenizer
    assert found.chat_template == CHAT_TEMPLATE and found.get_vocab() == {t: i for i, t in enumerate(VOCABULARY)}
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id) == (1, 2, 0)
    assert set(SPECIALS) <= set(found.all_special_tokens) | {str(t) for t in found.added_tokens_decoder.values()}
    assert found.decode(found(TEXT)["input_ids"]) == TEXT and found("a")["input_ids"] == [VOCABULARY.index("a")]


def test_text_is_cut_as_the_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five spaces before a digit: SmolLM's cut leaves them together, GPT-2's gives the digit the last."""
    tokens = {}
    for pre in ("smollm", "deepseek-coder", "gpt-2", "unheard-of"):
        save_llama(tmp_path / f"{pre}.gguf", pre=pre)
        found = load_tokenizer(Checkpoint(str(tmp_path / f"{pre}.gguf")))
        assert found.decode(found(TEXT)["input_ids"]) == TEXT
        tokens[pre] = found.convert_ids_to_tokens(found("    7")["input_ids"])
    assert tokens["smollm"] == tokens["deepseek-coder"] == ["ĠĠĠĠ", "7"]
    assert tokens["gpt-2"] == tokens["unheard-of"] == ["ĠĠ", "Ġ", "Ġ", "7"]
    noted = capsys.readouterr().err.splitlines()
    assert len(noted) == 1 and "unheard-of" in noted[0]


def test_what_transformers_does_not_take_is_said(llama: Path, tmp_path: Path) -> None:
    scaled = (
        header(settings=2, tensors=1) + NAMED + text("llama.rope.scaling.type") + struct.pack("<I", 8) + text("yarn")
    )
    scaled += text("rope_freqs.weight") + struct.pack("<IQIQ", 1, 8, 0, 0) + bytes(96)
    (tmp_path / "model.gguf").write_bytes(scaled)
    remarks = Checkpoint(str(tmp_path / "model.gguf")).remarks
    assert len(remarks) == 2 and "long texts: llama.rope.scaling.type, rope_freqs.weight" in remarks[1]
    assert len(Checkpoint(str(llama)).remarks) == 1


@pytest.mark.parametrize("architecture", SAVE)
def test_llama_cpp_computes_and_cuts_text_the_same(architecture: str, tmp_path: Path) -> None:
    """llama.cpp takes the file, and gives its next token as the dequantized model does."""
    xllamacpp = pytest.importorskip("xllamacpp")
    expected = SAVE[architecture](tmp_path / "model.gguf", PLAIN)
    found = load_tokenizer(Checkpoint(str(tmp_path / "model.gguf")))
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.warmup = str(tmp_path / "model.gguf"), 64, False
    parameters.cpuparams.n_threads = 1
    asked = {"prompt": TEXT, "max_tokens": 1, "temperature": 0}
    answer = xllamacpp.Server(parameters).handle_completions(asked)
    answer = json.loads(answer) if isinstance(answer, str) else answer
    ids = found(TEXT)["input_ids"]
    assert answer["usage"]["prompt_tokens"] == len(ids)
    with torch.no_grad():
        likeliest = int(expected(torch.tensor([ids])).logits[0, -1].argmax())
    assert answer["choices"][0]["text"] == ("" if likeliest in (0, 2) else found.decode([likeliest]))


# ------------------------------------------------------------------------------------------------------------ damage


def header(version: int = 3, tensors: int = 0, settings: int = 0, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, settings)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


NAMED = text("general.architecture") + struct.pack("<I", 8) + text("llama")
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is empty: download it again"),
    "zeros": (lambda whole: bytes(len(whole)), "is no GGUF file"),
    "pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "wrong magic": (lambda whole: b"GGML" + whole[4:], "is no GGUF file"),
    "a few bytes": (lambda whole: whole[:7], "it ends in its header"),
    "version 1": (lambda whole: header(1) + whole[24:], "version 1"),
    "version 4": (lambda whole: header(4) + whole[24:], "version 4"),
    "big-endian": (lambda whole: b"GGUF" + struct.pack(">I", 3) + whole[8:], "byte order"),
    "cut in the settings": (lambda whole: whole[:200], "cut short"),
    "cut in the vocabulary": (lambda whole: whole[:2000], "cut short"),
    "cut in the data": (lambda whole: whole[:-1000], "bytes, not the"),
    "many tensors": (lambda whole: header(tensors=2**62) + bytes(64), f"says that {2**62} values follow"),
    "many settings": (lambda whole: header(settings=2**64 - 1) + bytes(64), "values follow"),
    "long name": (lambda whole: header(settings=1) + struct.pack("<Q", 2**63) + bytes(64), "values follow"),
    "long array": (
        lambda whole: header(settings=1) + text("a") + struct.pack("<IIQ", 9, 4, 2**61) + bytes(64), "values follow"
    ),
    "unknown setting": (lambda whole: header(settings=1) + text("a") + struct.pack("<I", 77) + bytes(64), "unknown type 77"),
    "name is no text": (lambda whole: header(settings=1) + struct.pack("<Q", 2) + b"\xff\xfe" + bytes(64), "no text"),
    "no architecture": (lambda whole: header() + bytes(64), "names no architecture"),
    "other architecture": (lambda whole: whole.replace(text("llama"), text("clipp")), "'clipp'"),
    "no tensors": (lambda whole: header(settings=1) + NAMED + bytes(64), "holds no language model"),
    "huge shape": (
        lambda whole: header(tensors=1, settings=1) + NAMED + text("token_embd.weight")
        + struct.pack("<IQQIQ", 2, 2**40, 2**20, 0, 0) + bytes(64), "that its header says"
    ),
    "many dimensions": (
        lambda whole: header(tensors=1, settings=1) + NAMED + text("t") + struct.pack("<I", 2**31) + bytes(64), "dimensions"
    ),
    "unknown type": (
        lambda whole: header(tensors=1, settings=1) + NAMED + text("t") + struct.pack("<IQIQ", 1, 32, 999, 0) + bytes(64),
        "type 999",
    ),
    "half a block": (
        lambda whole: header(tensors=1, settings=1) + NAMED + text("t") + struct.pack("<IQIQ", 1, 33, 2, 0) + bytes(64),
        "blocks of Q4_0 have 32",
    ),
    "other width": (lambda whole: swapped(whole, "llama.embedding_length", WIDTH, 32), "shape"),
    "more blocks": (lambda whole: swapped(whole, "llama.block_count", 2, 3), "has no model.layers.2"),
}  # fmt: skip


def swapped(whole: bytes, key: str, old: int, new: int) -> bytes:
    before, after = (text(key) + struct.pack("<II", 4, value) for value in (old, new))
    assert before in whole
    return whole.replace(before, after)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused_in_one_line(damage: str, llama: Path, in_process: Cli, tmp_path: Path) -> None:
    change, part = DAMAGES[damage]
    file = tmp_path / "bad.gguf"
    file.write_bytes(change(llama.read_bytes()))
    one_line(in_process("quantize", "--model", file, "--quant", "rtn:4", "--output", tmp_path / "q"), part)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


def test_a_file_cut_anywhere_is_refused(llama: Path, tmp_path: Path) -> None:
    whole = llama.read_bytes()
    for at in [*range(1, 200), *range(200, len(whole) - 1, 997)]:
        file = tmp_path / "cut.gguf"
        file.write_bytes(whole[:at])
        with pytest.raises(ModelError):
            read_header(file)


def test_one_of_several_files(llama: Path, tmp_path: Path, in_process: Cli) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(llama.read_bytes())
    one_line(in_process("footprint", "--model", tmp_path), "a.gguf, b.gguf")
    one_line(in_process("footprint", "--model", tmp_path / "c.gguf"), "there is no such file")
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    one_line(in_process("footprint", "--model", tmp_path / "a.gguf"), "one of 3 files")


# ------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("architecture", SAVE)
def test_the_headers_sizes_are_the_files(architecture: str, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    SAVE[architecture](file)
    found = sizes(file, "none")
    theirs = gguf.GGUFReader(file)
    assert found["gguf"]["file_bytes"] == file.stat().st_size
    assert found["gguf"]["file_bytes"] == found["gguf"]["weight_bytes"] + found["gguf"]["unquantized_bytes"]
    for kind, size in found["gguf"]["type_bytes"].items():
        assert size == sum(int(t.n_bytes) for t in theirs.tensors if t.tensor_type.name == kind)
    attention, inner = 2 * (2 * WIDTH * WIDTH + 2 * WIDTH * WIDTH // 2), 2 * 3 * WIDTH * INNER
    assert found["gguf"]["weights"] == found["quantized_weights"] == attention + inner
    assert found["gguf"]["bits_per_param"]["nominal"] == (8 * attention + 4 * inner) / (attention + inner)
    assert found["gguf"]["bits_per_param"]["stored"] == (8.5 * attention + 4.5 * inner) / (attention + inner)
    assert found["gguf"]["bits_per_param"]["packed"] == found["gguf"]["bits_per_param"]["stored"]


@pytest.mark.parametrize("kind", TYPES)
def test_packed_bytes_are_those_of_a_file(kind: str, tmp_path: Path) -> None:
    """A file whose blocks are all of a type, against the quantizer's own account of it."""
    named = Type[kind.upper()]
    save_llama(
        tmp_path / "model.gguf",
        {"attn_q": named, "attn_k.": named, "attn_v": named, "attn_output": named, "ffn_": named},
    )
    found = sizes(tmp_path / "model.gguf", f"gguf:{kind}")
    quantized = found["packed_total_bytes"] - found["unquantized_bytes"]
    assert quantized == found["gguf"]["weight_bytes"]
    assert found["bits_per_param"]["packed"] == found["gguf"]["bits_per_param"]["stored"]
    assert found["bits_per_param"]["nominal"] == found["gguf"]["bits_per_param"]["nominal"] == int(kind[1])


# --------------------------------------------------------------------------------------------------------- quantizer


@pytest.mark.parametrize("kind", TYPES)
def test_arithmetic_is_the_packages(kind: str) -> None:
    weight = torch.randn(5, 96, generator=torch.Generator().manual_seed(0))
    weight[0] = 0
    found = our_rounded(weight, Type[kind.upper()])
    assert np.array_equal(found.numpy(), rounded(weight.numpy(), Type[kind.upper()]))
    assert len(found[1, :32].unique()) <= 2 ** int(kind[1])
    assert our_rounded(weight.bfloat16(), Type[kind.upper()]).dtype == torch.bfloat16


def test_q8_0_by_hand() -> None:
    """A block's scale is its greatest magnitude / 127, in float16; codes are rounded to the nearest, ties from zero."""
    weight = torch.zeros(1, 32)
    weight[0, :4] = torch.tensor([127.0, -2.5, 2.5, 1.2])
    assert our_rounded(weight, Type.Q8_0)[0, :5].tolist() == [127.0, -3.0, 3.0, 1.0, 0.0]


@pytest.mark.parametrize("kind", TYPES)
def test_what_it_made_stays_as_it_is(kind: str) -> None:
    once = our_rounded(torch.randn(4, 64, generator=torch.Generator().manual_seed(1)), Type[kind.upper()])
    assert (our_rounded(once, Type[kind.upper()]) - once).abs().max() <= 2e-3 * once.abs().max()


def test_blocks_change_and_nothing_else() -> None:
    model, original = make_model("llama"), make_model("llama")
    changed = quantize(LoadedModel(model, tokenizer(), "llama"), "gguf:q4_0")
    for (name, new), (_, old) in zip(changed.named_parameters(), original.named_parameters(), strict=True):
        assert torch.equal(new, our_rounded(old, Type.Q4_0) if "_proj" in name else old), name


def test_weights_that_are_such_codes_already_are_no_model_to_compare(tmp_path: Path) -> None:
    save_llama(tmp_path / "model.gguf", {"attn_": Type.Q4_0, "ffn_": Type.Q4_0})
    with pytest.raises(ModelError, match="gguf:q4_0 changes nothing"):
        quantize(load_model(str(tmp_path / "model.gguf"), "cpu"), "gguf:q4_0")


def test_layers_whose_rows_are_no_whole_blocks_are_left() -> None:
    config = transformers.LlamaConfig(
        vocab_size=260, hidden_size=64, intermediate_size=40, num_hidden_layers=1, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config).eval()
    before = {name: each.clone() for name, each in model.named_parameters()}
    loaded = LoadedModel(model, tokenizer(), "llama")
    changed = dict(quantize(loaded, "gguf:q4_0").named_parameters())
    same = {name for name in before if torch.equal(before[name], changed[name])}
    assert "model.layers.0.mlp.down_proj.weight" in same and "model.layers.0.mlp.up_proj.weight" not in same
    assert loaded.untouched and 0.1 < loaded.untouched.share < 0.2
    layers = {"a": (8, 64), "b": (8, 40)}
    assert Gguf("q4_0").weight_bytes(layers, 4).weights == 8 * 64
    with pytest.raises(ModelError, match="no layer"):
        Gguf("q4_0").weight_bytes({"b": (8, 40)}, 4)


def test_specs() -> None:
    quantizer = get_registry().quantizer
    assert quantizer("gguf:q4_0") == quantizer("gguf:type=q4_0") == Gguf("q4_0")
    with pytest.raises(SpecError, match="write gguf:q8_0"):
        quantizer("gguf")
    assert str(unbind(quantizer("gguf:q8_0"))) == "gguf:q8_0"
    with pytest.raises(SpecError, match="q8_0 or q5_1 or q5_0 or q4_1 or q4_0"):
        quantizer("gguf:q9")
    for kind in ("q4_k", "Q4_K_M", "iq2_xs", "mxfp4"):
        with pytest.raises(SpecError, match=r"can be read and not made here.*--baseline"):
            quantizer(f"gguf:{kind}")


# ------------------------------------------------------------------------------------------------------ command line


def test_a_run_and_what_it_says_of_the_file(llama: Path, in_process: Cli, tmp_path: Path) -> None:
    run = (
        "run",
        "--model",
        llama,
        "--quant",
        "gguf:q5_1",
        "--task",
        "tiny-python",
        "--limit",
        "1",
        "--max-new-tokens",
        "8",
    )
    done = in_process(*run, "--samples", "1", "--temperature", "0", "--allow-unsandboxed", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    documents = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/run.json")}
    assert all(name.startswith("tiny-llama.gguf--") for name in documents) and len(documents) == 2
    for document in documents.values():
        assert any("tiny-llama.gguf (0.1 MB, of which F32" in note for note in document["notes"])
        full = document["spec"]["quant"] == "none"
        assert (document["hosting"]["storage_bytes"] == llama.stat().st_size) == full


def test_a_plain_checkpoint_is_written(llama: Path, tmp_path: Path) -> None:
    export_checkpoint(bound(llama, "gguf:q5_1"), tmp_path / "q")
    written = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "q").eval()
    assert torch.equal(logits(written), logits(quantize(load_model(str(llama), "cpu"), "gguf:q5_1")))
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "q")
    assert again.chat_template == CHAT_TEMPLATE
    assert again(TEXT)["input_ids"] == load_tokenizer(Checkpoint(str(llama)))(TEXT)["input_ids"]


def test_the_cache_gives_it_back_to_the_last_bit(
    llama: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))
    made, read = (Models(cached_from_s=0).get(resolved(llama, "int8-dynamic", device="cpu")) for _ in range(2))
    assert "quantized before" in capsys.readouterr().err
    assert torch.equal(logits(read.loaded.model), logits(made.loaded.model))
    assert read.loaded.remarks == made.loaded.remarks and "dequantized" in read.loaded.remarks[0]


def test_others_quantizers_say_what_to_do(llama: Path) -> None:
    """They load a model anew by its name, and a GGUF file's would be that of a folder which holds something else."""
    loaded = load_model(str(llama), "cpu")
    assert loaded.model.name_or_path == ""
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ModelError, match="quantize --quant none"):
        quantize(loaded, "hf:bnb-nf4")


def test_the_real_file_is_the_folder_made_of_it() -> None:
    file = REAL / "smollm2-135m-instruct.gguf"
    if not file.is_file():
        pytest.skip(f"needs {file}: `make real-models`")
    ours, folder = load_model(str(file), "cpu"), load_model(str(file.with_suffix("")), "cpu")
    expected = folder.model.state_dict()
    assert all(torch.equal(each, expected[name]) for name, each in ours.model.state_dict().items())
    assert ours.tokenizer.get_vocab() == folder.tokenizer.get_vocab()
    assert ours.tokenizer.chat_template == folder.tokenizer.chat_template
    assert ours.tokenizer.special_tokens_map == folder.tokenizer.special_tokens_map
    assert ours.model.generation_config.to_dict() == folder.model.generation_config.to_dict()
