"""The cache of quantized models: what is read back is what was written, to the last bit, and nothing in it is code."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qharness import RunSpec
from qharness.api.quantizers import LayerForm
from qharness.models.blocks import shares_head
from qharness.models.checkpoint import Checkpoint
from qharness.plugins.aqlm import Aqlm
from qharness.plugins.aqlm.block_progress import PartCache
from qharness.quantization.model_cache import UncacheableError, read_model, write_model
from qharness.quantization.quantized_artifacts import quantized_dir
from qharness.quantization.quantized_models import Models, QuantizedModel
from tests.asked import bound, resolved
from tests.conftest import REPOSITORY
from tests.tiny_architectures import make
from tests.tiny_models import CONFIGS, make_model, save_model, tokenizer

CALIB = "stdlib:n=2,seqlen=48"
AQLM = "aqlm:codebooks=1,nbits=4,finetune=none"
QUANTIZERS = ("rtn:3", "int8-dynamic:per-column", "int8-static", "int8-dynamic:activations=tensor", AQLM)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A model's folder by its name, made once."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("models") / name
            if name in CONFIGS:
                save_model(name, made[name])
            else:
                model = TIED() if name == "tied" else make(name)
                model.save_pretrained(made[name])
                tokenizer().save_pretrained(made[name])
        return made[name]

    return of


def TIED() -> nn.Module:
    """A Llama whose head has the embeddings' weights."""
    config = CONFIGS["llama"]()
    config.tie_word_embeddings = True
    return type(make_model("llama"))(config).eval()


def spec_of(model: Path, quant: str) -> RunSpec:
    return resolved(model, quant, calib=CALIB, allow_untouched=True)


def made_and_read(model: Path, quant: str, capsys: pytest.CaptureFixture[str]) -> tuple[QuantizedModel, QuantizedModel]:
    """A model as it was quantized, and as another process reads it from the cache."""
    made = Models(cached_from_s=0.0).get(spec_of(model, quant))
    capsys.readouterr()
    read = Models(cached_from_s=0.0).get(spec_of(model, quant))
    assert "quantized before" in (said := capsys.readouterr().err), said
    return made, read


def logits(model: Any) -> Tensor:
    ids = torch.randint(4, 250, (3, 21), generator=torch.Generator().manual_seed(1))
    decoder = {"decoder_input_ids": ids[:, :5]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        found: Tensor = model(ids, **decoder).logits
    return found


def tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def assert_equal(made: Any, read: Any) -> None:
    ours, theirs = dict(tensors(made)), dict(tensors(read))
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        other = theirs[name]
        assert type(other) is type(tensor) and other.dtype == tensor.dtype, name
        assert torch.equal(other, tensor) and other.stride() == tensor.stride(), name
    assert [type(module) for module in made.modules()] == [type(module) for module in read.modules()]
    assert torch.equal(logits(made), logits(read))
    assert made.config.to_dict() == read.config.to_dict()
    assert made.generation_config.to_dict() == read.generation_config.to_dict()
    assert not read.training


@pytest.mark.parametrize("quant", QUANTIZERS)
@pytest.mark.parametrize("name", ["llama", "codegen", "t5", "plbart", "GPT-2"])
def test_every_quantizers_models_are_read_back_to_the_last_bit(
    name: str, quant: str, folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    made, read = made_and_read(folder_of(name), quant, capsys)
    assert_equal(made.loaded.model, read.loaded.model)
    assert read.untouched == made.untouched and list(read.log) == list(made.log)


@pytest.mark.parametrize(
    "name", ["xglm", "tied", "Qwen3-MoE", "Mixtral", "gpt-oss", "Mamba 2", "Falcon", "Gemma 3", "Llama 4"]
)
def test_other_architectures_too(
    name: str, folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    made, read = made_and_read(folder_of(name), "int8-dynamic", capsys)
    assert_equal(made.loaded.model, read.loaded.model)


def test_a_copy_of_a_tied_head_too(folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    made, read = made_and_read(folder_of("tied"), "int8-dynamic:tied_head=true", capsys)
    assert_equal(made.loaded.model, read.loaded.model)
    full = Models(cached_from_s=0.0).get(spec_of(folder_of("tied"), "none")).loaded.model
    assert isinstance(full, nn.Module) and shares_head(full) and not shares_head(read.loaded.model)


def test_tied_weights_are_one_tensor_and_stand_once_in_the_file(
    folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors import safe_open

    _, read = made_and_read(folder_of("tied"), "rtn:3", capsys)
    assert read.loaded.model.lm_head.weight is read.loaded.model.model.embed_tokens.weight  # type: ignore[union-attr]
    (file,) = quantized_dir().rglob("*.safetensors")
    with safe_open(file, framework="pt") as tensors_of_file:
        names = list(tensors_of_file.keys())
    assert "model.embed_tokens.weight" in names and "lm_head.weight" not in names


def test_a_checkpoint_made_of_the_cache_is_the_one_made_at_once(
    folder_of: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from safetensors.torch import load_file

    from qharness.quantization import quantized_models as store
    from qharness.quantization.checkpoint_export import export_checkpoint

    monkeypatch.setattr(store, "CACHED_FROM_S", 0.0)
    for name, quant in (("Qwen3-MoE", "rtn:3"), ("llama", "int8-static"), ("llama", AQLM), ("GPT-2", "rtn:3")):
        capsys.readouterr()
        parts = []
        for turn in ("first", "second"):
            output = tmp_path / f"{name}-{quant[:4]}-{turn}"
            export_checkpoint(bound(folder_of(name), quant, calib=CALIB), output)
            parts.append((load_file(output / "model.safetensors"), json.loads((output / "config.json").read_text())))
        assert "quantized before" in capsys.readouterr().err
        (first, config), (second, other) = parts
        assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
        assert config == other


# ------------------------------------------------------------------------------------------------------------ damages


@pytest.mark.parametrize("name", ["model.safetensors", "layout.json", "about.json"])
@pytest.mark.parametrize(
    "quant",
    ["rtn:3", *(pytest.param(quant, marks=pytest.mark.long) for quant in ("int8-static", AQLM))],
)
def test_a_damaged_part_is_a_line_and_made_again(
    quant: str, name: str, folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(folder_of("llama"), quant)
    before = logits(Models(cached_from_s=0.0).get(spec).loaded.model)
    (folder,) = quantized_dir().iterdir()
    whole = (folder / name).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) * 2 // 3] ^= 0x40
    damages: Mapping[str, bytes] = {"half": whole[: len(whole) // 2], "empty": b"", "flipped": bytes(flipped)}
    for what, damage in damages.items():
        if (what, name) in (("flipped", "about.json"), ("flipped", "layout.json")):
            continue  # a changed letter of a text is not always seen, and does no harm to numbers
        (folder / name).write_bytes(damage)
        capsys.readouterr()
        again = Models(cached_from_s=0.0).get(spec)
        said = capsys.readouterr().err
        assert f"{folder} cannot be read and is made again" in said and "Traceback" not in said, what
        assert torch.equal(logits(again.loaded.model), before)
    (folder / name).unlink()
    assert torch.equal(logits(Models(cached_from_s=0.0).get(spec).loaded.model), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda layout: layout["layers"].clear(),
        lambda layout: next(iter(layout["layers"].values())).update(kind="os.system"),
        lambda layout: layout.update(dtype="ones"),
        lambda layout: layout.update(config="{}"),
        lambda layout: layout.update(generation="["),
        lambda layout: layout.update(layers=[]),
        lambda layout: layout.pop("config"),
        lambda layout: layout.update(more=1),
        lambda layout: layout.update(same={"model.norm.weight": "nothing"}),
        lambda layout: layout.update(axes={"model.norm.weight": [1, 0]}),
    ],
)
def test_a_layout_that_does_not_fit_is_a_line(
    change: Callable[[Any], object], folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(folder_of("llama"), "int8-dynamic")
    Models(cached_from_s=0.0).get(spec)
    (path,) = quantized_dir().rglob("layout.json")
    layout = json.loads(path.read_text())
    change(layout)
    path.write_text(json.dumps(layout))
    capsys.readouterr()
    Models(cached_from_s=0.0).get(spec)
    assert "cannot be read and is made again" in capsys.readouterr().err


class _Trap:
    """What pickle would run."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.proof,)


def test_a_pickle_in_the_cache_is_not_run(
    folder_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of(folder_of("llama"), AQLM)
    Models(cached_from_s=0.0).get(spec)
    proof = tmp_path / "proof"
    (folder,) = quantized_dir().iterdir()
    for name in ("model.pt", "model.safetensors", "layout.json"):
        (folder / name).write_bytes(pickle.dumps(_Trap(proof)))
        torch.save(_Trap(proof), folder / "model.pt")
        Models(cached_from_s=0.0).get(spec)
    assert "made again" in capsys.readouterr().err
    assert not proof.exists()


def test_a_damaged_part_of_a_killed_quantization_is_made_again(tmp_path: Path) -> None:
    said: list[str] = []
    finished = PartCache(tmp_path / "aqlm", said.append)
    part = {"codes": torch.arange(4000, dtype=torch.int16), "scale": torch.tensor(0.5), "none": torch.empty(0, 3)}
    finished.write("block-0001", part)
    found = finished.read("block-0001")
    assert found is not None and all(torch.equal(found[name], part[name]) for name in part)
    (path,) = finished.folder.iterdir()
    whole = path.read_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    for damage in (whole[: len(whole) // 2], b"", b"\x80\x05K\x01.", flipped):
        said.clear()
        path.write_bytes(damage)
        assert finished.read("block-0001") is None
        assert len(said) == 1 and f"{path} is damaged and is made again" in said[0]
        assert not path.exists()
        finished.write("block-0001", part)


# ---------------------------------------------------------------------------------------- what the cache has no form for


class _Halved(nn.Module):
    """A layer of a plugin that offers no form for it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.inner = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * 0.5  # type: ignore[no-any-return]


def _hook(model: Any) -> None:
    model.lm_head.register_forward_hook(lambda _module, _inputs, output: output * 2)


def _attribute(model: Any) -> None:
    model.model.layers[0].mlp.act_fn = nn.GELU()


def _layer(model: Any) -> None:
    model.lm_head = _Halved(model.lm_head)


def _scalar(model: Any) -> None:
    model.model.layers[1].self_attn.scaling = 3.0


def _config(model: Any) -> None:
    model.config.rms_norm_eps = 1.0


@pytest.mark.parametrize("change", [_hook, _attribute, _layer, _scalar, _config])
def test_a_model_that_would_not_be_read_back_as_it_is_is_not_written(
    change: Callable[[Any], None], folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    from qharness.models.loading import load_model

    name = str(folder_of("llama"))
    model = load_model(name).model
    write_model(model, Checkpoint(name), (), tmp_path)
    assert torch.equal(logits(read_model(tmp_path, Checkpoint(name), ())), logits(model))
    change(model)
    with pytest.raises(UncacheableError):
        write_model(model, Checkpoint(name), (), tmp_path / "other")


def test_a_plugins_own_layer_is_cached_by_its_form(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    from qharness.models.loading import load_model

    def read(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> _Halved:
        rows, columns = tensors["weight"].shape
        linear = nn.Linear(columns, rows, bias=False)
        linear.weight = nn.Parameter(tensors["weight"], requires_grad=False)
        assert settings == {"by": 2}
        return _Halved(linear)

    form = LayerForm(_Halved, lambda layer: ({"weight": layer.inner.weight}, {"by": 2}), read)
    name = str(folder_of("llama"))
    model = load_model(name).model
    _layer(model)
    write_model(model, Checkpoint(name), (form,), tmp_path)
    assert torch.equal(logits(read_model(tmp_path, Checkpoint(name), (form,))), logits(model))


def test_nothing_unpickles_but_what_a_process_of_ours_sent() -> None:
    """Every call of a loader that can run code or harm its process, in the whole package.

    Those of a study's own workers, over pipes; of cases, what the same process packed, or the checker for a program's.
    """
    risky = {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}
    found = set()
    for folder in ("qharness", "plugins"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            place = path.relative_to(REPOSITORY).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                owner = ast.unparse(node.func.value)
                named = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if owner in risky and node.func.attr.startswith("load"):
                    found.add(place)
                if (owner, node.func.attr) == ("torch", "load"):
                    assert named.get("weights_only") == "True", place
                assert named.get("allow_pickle") in (None, "False"), place
    workers = {"qharness/study/executors/local.py", "qharness/study/executors/worker_process.py"}
    assert found == workers | {"plugins/languages/python_case_calls.py", "plugins/languages/python_cases.py"}


def test_a_quantizer_that_was_revised_makes_its_models_again(
    folder_of: Callable[[str], Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = spec_of(folder_of("llama"), AQLM)
    Models(cached_from_s=0.0).get(before)
    key = before.key()  # which names its runs too
    monkeypatch.setattr(Aqlm, "revision", Aqlm.revision + 1)
    assert spec_of(folder_of("llama"), AQLM).key() != key
    capsys.readouterr()
    Models(cached_from_s=0.0).get(spec_of(folder_of("llama"), AQLM))
    assert "quantized before" not in capsys.readouterr().err
