"""`qharness quantize` and `qharness footprint` as a user runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from qharness.models.loading import load_model
from qharness.plugins.aqlm.weight import AqlmLinear
from qharness.plugins.rtn import round_to_nearest
from qharness.quantization.checkpoint_export import export_checkpoint
from qharness.quantization.quantized_models import Models
from tests.aqlm_models import logits
from tests.asked import bound, resolved
from tests.test_cli import Cli, in_process, one_line

__all__ = ["in_process"]

AQLM = "aqlm:codebooks=2,nbits=3,finetune=none"


WRITTEN = {"F16": torch.float16, "BF16": torch.bfloat16}


@pytest.fixture
def calib(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small calibration set."""
    path = tmp_path_factory.mktemp("texts") / "text.txt"
    path.write_text("def add(a, b):\n    return a + b\n" * 40)
    return f'files:"{path}",n=2,seqlen=32'


def test_rtn_is_written_as_the_plain_model_it_is(in_process: Cli, random_llama: Path, tmp_path: Path) -> None:
    done = in_process("quantize", "--model", random_llama, "--quant", "rtn:3", "--output", tmp_path / "q")
    assert done.returncode == 0 and str(tmp_path / "q") in done.stdout
    before, after = (load_file(folder / "model.safetensors") for folder in (random_llama, tmp_path / "q"))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(after[name], round_to_nearest(before[name], 3, 64))
    assert torch.equal(after["lm_head.weight"], before["lm_head.weight"])
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "q")("ab")["input_ids"]
    assert [path.name for path in tmp_path.iterdir()] == ["q"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_checkpoint_is_readable_by_whom_the_umask_lets(
    umask: int, mode: int, in_process: Cli, random_llama: Path, tmp_path: Path
) -> None:
    """safetensors makes files of mode 0600, whatever the umask, which no other user could load."""
    before = os.umask(umask)
    try:
        done = in_process("quantize", "--model", random_llama, "--quant", "rtn:3", "--output", tmp_path / "q")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "q").iterdir()} == {
        path.name: mode for path in (tmp_path / "q").iterdir()
    }


def test_aqlm_packed_unpacked_and_plain(in_process: Cli, random_llama: Path, calib: str, tmp_path: Path) -> None:
    plain, packed, again = tmp_path / "plain", tmp_path / "packed", tmp_path / "again"
    for quant, folder in ((AQLM, plain), (AQLM + ",packed=true", packed)):
        done = in_process("quantize", "--model", random_llama, "--quant", quant, "--calib", calib, "--output", folder)
        assert done.returncode == 0, done.stderr
    assert in_process("quantize", "--unpack", packed, "--output", again).returncode == 0
    assert {path.name for path in again.iterdir()} == {path.name for path in plain.iterdir()}
    loaded = load_model(str(packed), "cpu").model
    assert sum(isinstance(module, AqlmLinear) for module in loaded.modules()) == 14
    for folder in (plain, again):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        assert torch.equal(logits(model), logits(loaded))


def test_a_checkpoint_in_the_dtype_of_the_run_is_the_run_s_model(
    in_process: Cli, random_llama: Path, calib: str, tmp_path: Path
) -> None:
    """In a half-precision model's own dtype its codebooks are rounded, which is said."""
    half = tmp_path / "half"
    transformers.AutoModelForCausalLM.from_pretrained(random_llama, dtype=torch.float16).save_pretrained(half)
    transformers.AutoTokenizer.from_pretrained(random_llama).save_pretrained(half)
    for dtype in ("auto", "float32"):
        arguments = ["--model", half, "--quant", AQLM, "--calib", calib, "--dtype", dtype, "--output", tmp_path / dtype]
        done = in_process("quantize", *arguments)
        assert done.returncode == 0 and ("rounded to float16" in done.stderr) == (dtype == "auto"), done.stderr
    run = Models().get(resolved(half, AQLM, calib=calib)).loaded.model
    own, exact = (load_file(tmp_path / dtype / "model.safetensors") for dtype in ("auto", "float32"))
    names = [name for name in own if name.endswith((".codebooks", ".scales"))]
    assert names and all(torch.equal(own[name], exact[name].half()) for name in names)
    assert all(torch.equal(run.state_dict()[name], exact[name]) for name in names)
    assert any(not torch.equal(own[name].float(), exact[name]) for name in names)
    assert torch.equal(logits(load_model(str(tmp_path / "float32"), "cpu").model), logits(run))


@pytest.mark.parametrize(("dtype", "written"), [("auto", "F16"), ("bfloat16", "BF16")])
def test_dtypes(dtype: str, written: str, in_process: Cli, random_llama: Path, calib: str, tmp_path: Path) -> None:
    from safetensors import safe_open

    half = tmp_path / "half"
    transformers.AutoModelForCausalLM.from_pretrained(random_llama, dtype=torch.float16).save_pretrained(half)
    transformers.AutoTokenizer.from_pretrained(random_llama).save_pretrained(half)
    arguments = ["--model", half, "--quant", AQLM, "--calib", calib, "--dtype", dtype, "--output", tmp_path / "q"]
    assert in_process("quantize", *arguments).returncode == 0
    with safe_open(tmp_path / "q/model.safetensors", "pt") as file:
        kinds = {name.split(".")[-1]: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"codes": "I8", "codebooks": written, "scales": written, "weight": written}
    assert transformers.AutoConfig.from_pretrained(tmp_path / "q").dtype == WRITTEN[written]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["needs --quant SPEC, or --unpack DIR"]),
        (["--quant", "aqlm"], ["aqlm needs bits"]),
        (["--quant", "aqlm:5"], ["8, 4, 3, 2 bits, not 5"]),
        (["--quant", "rtn:4,pack=true"], ["no option 'pack'"]),
        (["--quant", "int8-dynamic:activations=tensor"], ["activations=tensor has no checkpoint form"]),
        (["--quant", "aqlm:2", "--calib", "stdlob"], ["unknown calibration set 'stdlob'", "stdlib"]),
        (["--quant", "rtn", "--model", "/no/such/model"], ["there is no such folder"]),
        (["--quant", "rtn", "--device", "tpu"], ["tpu"]),
        (["--unpack", "/no/such/model"], ["there is no such folder"]),
        (["--unpack", "MODEL"], ["is in no format that packs"]),
        (["--unpack", "MODEL", "--quant", "rtn"], ["do not go with it"]),
        (["--quant", "rtn", "--output", "FULL"], ["is there already"]),
        (["--quant", "rtn", "--output", "/proc/nothing"], ["cannot be written"]),
    ],
)
def test_bad_input(arguments: list[str], parts: list[str], in_process: Cli, random_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    places = {"MODEL": str(random_llama), "FULL": str(tmp_path / "full")}
    given = [places.get(each, each) for each in arguments]
    if "--model" not in given and "--unpack" not in given:
        given += ["--model", str(random_llama)]
    if "--output" not in given:
        given += ["--output", str(tmp_path / "q")]
    done = in_process("quantize", *given)
    one_line(done, *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_output_is_required(in_process: Cli) -> None:
    one_line(in_process("quantize", "--quant", "rtn"), "--output")


def test_footprint(in_process: Cli, random_llama: Path) -> None:
    done = in_process("footprint", "--model", random_llama, "--quant", "aqlm:codebooks=1,nbits=4", "--json")
    document = json.loads(done.stdout)
    assert {"model", "quantizer", "total_bytes", "codes_bytes", "codebooks_bytes", "scales_bytes",
            "unquantized_bytes", "packed_total_bytes", "bits_per_param"} <= set(document)  # fmt: skip
    assert set(document["bits_per_param"]) == {"nominal", "stored", "packed"}
    assert document["quantizer"] == "aqlm:codebooks=1,nbits=4"
    shown = in_process("footprint", "--quant", "aqlm:2").stdout
    assert "tinycoder" in shown and "total, codes packed" in shown and "bits a weight, packed" in shown


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--quant", "aqlm:2,bit=3"], ["no option 'bit'"]),
        (["--quant", "none", "--model", "/no/such/model"], ["there is no such folder"]),
        (["--quant", "none", "--dtype", "int8"], ["int8"]),
        (["--quant", "aqlm:codebooks=1,nbits=4,group=80"], ["which groups of 80 do not divide"]),
    ],
)
def test_bad_footprints(arguments: list[str], parts: list[str], in_process: Cli) -> None:
    one_line(in_process("footprint", *arguments), *parts)


def test_what_run_quantized_and_kept_is_written(
    random_llama: Path, calib: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qharness.quantization.quantized_models.CACHED_FROM_S", 0.0)
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    asked = bound(random_llama, AQLM, calib=calib, device="cpu")
    export_checkpoint(asked, tmp_path / "first")
    assert len(list((tmp_path / "cache/quantized").iterdir())) == 1
    monkeypatch.setattr("qharness.plugins.aqlm.Aqlm.quantize", None)  # not to be called
    export_checkpoint(asked, tmp_path / "second")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_what_the_quantizer_said_is_recorded_and_kept(random_llama: Path, calib: str) -> None:
    """The codebooks it chose, among other things; also for a model that comes from the cache."""
    spec = resolved(random_llama, AQLM, calib=calib, device="cpu", dtype="float32")
    made, read = (Models(cached_from_s=0.0).get(spec) for _ in range(2))
    assert "2 codebooks of 3 bits for groups of 8" in made.log[0]
    assert list(read.log) == list(made.log) and read.composition == made.composition
