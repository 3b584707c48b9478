"""Hosting: the paper's costs from its latencies, the instance table, and what is measured of a real model."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from qharness.cli import app
from qharness.errors import MissingDependencyError, ModelError, QHarnessError, UnknownNameError
from qharness.hosting import Load, ProfileSpec, estimated_energy, find_instance, per_1000, read_instances
from qharness.hosting.cost_profile import _costs, _noise
from qharness.hosting.energy import (
    check_country,
    counter_missing_reason,
    energy_of,
    measure_energy,
    require_power_counter,
)
from qharness.hosting.machine_load import machine_load, require_idle_cores
from qharness.hosting.measurement import Measured, _attempt, _predictor, check_fits, latency_of, measure
from qharness.models.checkpoint import Checkpoint
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.loading import LoadedModel
from qharness.models.sampling import SampleKey
from qharness.quantization.resolution import bind_model, resolve
from qharness.results import CostProfile, Latency, MeasuredEnergy
from qharness.results.measured import MachineLoad
from qharness.specs import ModelSpec
from tests.test_cli import Cli, in_process, one_line  # noqa: F401 - a fixture
from tests.tiny_models import CONTEXT, make_model, save_model, tokenizer

# Wei et al. 2023, table II, on cloud: seconds a prediction, gCO2eq and dollars of 1,000
TABLE_II = {
    "CodeGen-2B fp32": (3.47, 1309, 30.1),
    "CodeGen-2B int8": (2.47, 932, 21.4),
    "CodeGen-6B fp32": (7.81, 2940, 67.7),
    "CodeGen-6B int8": (4.02, 1516, 34.8),
    "InCoder-6B fp32": (7.38, 2783, 64.0),
    "InCoder-6B int8": (3.32, 1252, 28.8),
}
SMALL = Load(prompt_tokens=12, new_tokens=6, batch_sizes=(1, 3), repeats=3, warm_up=0)


def asked(model: Path | str, quant: str = "none") -> ModelSpec:
    return ModelSpec(str(model), quant, device="cpu", dtype="float32")


@pytest.mark.parametrize("column", TABLE_II)
def test_table_2_of_the_paper(column: str) -> None:
    seconds, grams, dollars = TABLE_II[column]
    instance = find_instance("p3dn.24xlarge", read_instances())
    assert per_1000(seconds, instance.usd_per_hour) == pytest.approx(dollars, rel=0.005)
    assert per_1000(seconds, instance.gco2eq_per_hour) == pytest.approx(grams, rel=0.005)


def test_energy_times_the_grid_is_the_co2() -> None:
    instance = find_instance("g4dn.xlarge", read_instances())
    energy = estimated_energy(2.0, instance, "as asked")
    assert energy.kwh_per_1k == pytest.approx(1000 * 2 * 76.3 * 1.2 / 3.6e6)
    assert energy.kwh_per_1k and energy.gco2eq_per_kwh
    assert energy.kwh_per_1k * energy.gco2eq_per_kwh == pytest.approx(per_1000(2.0, instance.gco2eq_per_hour))
    assert per_1000(2.0, None) is None
    assert find_instance("g5.xlarge", read_instances()).gco2eq_per_hour is None  # its power is not known


def test_every_instance_says_where_its_figures_come_from() -> None:
    for name, instance in read_instances().items():
        assert instance.source and "price:" in instance.source, name
        assert (instance.watts is not None) == ("power:" in instance.source), name


def test_a_file_adds_instances_and_replaces_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[laptop]\nwatts = 40\ngco2eq_per_kwh = 52\n["g4dn.xlarge"]\nusd_per_hour = 0.6\n')
    assert find_instance("laptop", read_instances(file)).gco2eq_per_hour == pytest.approx(0.04 * 52)
    assert find_instance("g4dn.xlarge", read_instances(file)).usd_per_hour == 0.6
    assert find_instance("p3dn.24xlarge", read_instances(file)).usd_per_hour == 31.212
    with pytest.raises(UnknownNameError, match=r"unknown instance 'lapttop': did you mean laptop\?"):
        find_instance("lapttop", read_instances(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nusd_per_hour = -1", "a usd_per_hour: Input should be greater than or equal to 0"),
        ("[a]\nusd_per_hour = nan", "a usd_per_hour: Input should be a finite number"),
        ("[a]\nwatt = 3", "a watt: Extra inputs are not permitted"),
        ("a = 3", "a: Input should be"),
        ("[a", "is no TOML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_wrong(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(QHarnessError, match=message):
        read_instances(file)


def test_quartiles() -> None:
    assert latency_of([4.0, 1.0, 3.0, 2.0, 5.0]) == Latency(3.0, 2.0, 4.0, 5)
    assert latency_of([2.0]) == Latency(2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_endless_generation_makes_every_token(architecture: str) -> None:
    """A tenth of the vocabulary ends a text here; each prediction still is as long as all the others."""
    model, steps = make_model(architecture), []
    model.generation_config.eos_token_id = list(range(0, 260, 2))
    model.register_forward_hook(lambda *_: steps.append(1))
    decoding = Decoding(temperature=0.0, top_p=1.0, max_new_tokens=9, until=(), num_beams=1)
    prompts = [Prompt((40, 41 + n), (SampleKey(n, 0),)) for n in range(3)]
    counts = {}
    for endless in (True, False):
        steps.clear()
        made = list(Generation(model, tokenizer(), CONTEXT, 0, ignore_eos=endless)(prompts, decoding, 3))
        assert len(made) == 3
        counts[endless] = len(steps)
    assert counts[True] in (9, 10) and counts[False] < counts[True]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("hosting") / "llama")


def test_what_is_measured_of_a_model(llama: Path) -> None:
    found = measure(asked(llama), SMALL)
    assert set(found.latency) == {1, 3}
    for spread in found.latency.values():
        assert 0 < spread.q1 <= spread.median <= spread.q3 and spread.n == 3
    weights = sum(p.nbytes for p in make_model("llama").parameters())
    assert found.weight_bytes is not None and found.process_bytes is not None
    assert weights <= found.weight_bytes < weights * 1.1  # and some buffers
    assert found.resident_bytes == found.weight_bytes  # nothing is packed here
    assert found.weight_bytes < found.process_bytes.loaded <= found.process_bytes.peak
    assert found.energy is None and found.threads == torch.get_num_threads()


def test_a_prediction_is_as_much_work_as_was_asked_for() -> None:
    """All its new tokens, for as many prompts as the batch has, each of them prompt_tokens long and different."""
    model, inputs = make_model("llama"), []
    model.register_forward_pre_hook(lambda _, __, given: inputs.append(given["input_ids"]), with_kwargs=True)
    predict = _predictor(LoadedModel(model, tokenizer(), "llama"), Load(12, 7, (1, 3), 1, 0), seed=0)
    for size in (1, 3):
        inputs.clear()
        predict(size)
        assert inputs[0].shape == (size, 12) and len(set(map(tuple, inputs[0].tolist()))) == size
        assert len(inputs) in (7, 8) and all(step.shape == (size, 1) for step in inputs[1:])


def test_a_load_that_does_not_fit(llama: Path) -> None:
    check_fits(Checkpoint(str(llama)), Load(CONTEXT - 20, 20))
    with pytest.raises(ModelError, match=f"--prompt-tokens {CONTEXT} and --new-tokens 20 do not fit the {CONTEXT} tok"):
        check_fits(Checkpoint(str(llama)), Load(CONTEXT, 20))


def test_a_process_of_its_own_hands_mistakes_back(tmp_path: Path) -> None:
    """As text: an exception with arguments of its own would not come through."""
    save_model("llama", tmp_path / "model")
    (tmp_path / "model/model.safetensors").unlink()
    said = _attempt(asked(tmp_path / "model"), SMALL)
    assert isinstance(said, str) and "could not be loaded" in said


def test_an_encoder_reads_its_prompt_apart(tmp_path: Path) -> None:
    model = save_model("t5", tmp_path / "t5")
    check_fits(Checkpoint(str(model)), Load(CONTEXT, 20))
    assert measure(asked(model), Load(CONTEXT - 2, 3, (2,), 1, 0)).latency[2].median > 0
    with pytest.raises(ModelError, match="do not fit"):
        check_fits(Checkpoint(str(model)), Load(CONTEXT + 1, 3))


def test_codecarbon_runs_and_says_what_it_did_not_measure() -> None:
    pytest.importorskip("codecarbon")
    calls: list[int] = []

    def predict() -> None:
        calls.append(sum(range(200_000)))

    energy = measure_energy(predict, 2.0, "FRA", seconds=1.5)
    assert len(calls) > 3 and energy.seconds >= 1.5 and energy.tool.startswith("codecarbon 3")
    assert energy.watts == pytest.approx(sum(part.watts for part in energy.parts.values()))
    assert energy.parts["ram"].source == "estimated"
    assert energy.parts["cpu"].source == ("estimated" if counter_missing_reason("cpu") else "measured")
    assert 10 < energy.gco2eq_per_kwh < 150  # France's grid, by the year
    assert energy.kwh_per_1k == pytest.approx(energy.watts * 2000 / 3.6e6)


def test_energy_from_what_codecarbon_counts() -> None:
    pytest.importorskip("codecarbon")
    from codecarbon.output_methods.emissions_data import EmissionsData

    names = EmissionsData.__dataclass_fields__
    figures = {
        "duration": 36.0, "cpu_energy": 0.001, "gpu_energy": 0.003, "ram_energy": 0.0005, "energy_consumed": 0.0045,
        "emissions": 0.0018, "country_iso_code": "USA", "codecarbon_version": "3.3.2",
    }  # fmt: skip
    energy = energy_of(EmissionsData(**{name: figures.get(name, 0) for name in names}), 2.0, cpu_measured=True)
    assert {name: round(part.watts) for name, part in energy.parts.items()} == {"cpu": 100, "gpu": 300, "ram": 50}
    assert [part.source for part in energy.parts.values()] == ["measured", "measured", "estimated"]
    assert (
        energy.watts == pytest.approx(450)
        and energy.kwh_per_1k == pytest.approx(0.25)
        and energy.gco2eq_per_kwh == pytest.approx(400)
    )


@pytest.mark.long
def test_a_country_where_codecarbon_is_not_installed() -> None:
    """One line, also where the country would not be needed: it cannot be known whether it is one."""
    hide = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'codecarbon':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from qharness.cli import main\n"
        "main()\n"
    )
    asked = ("profile", "--model", "tinycoder", "--quant", "none", "--latency", "2.5")
    for country, code in (("XXX", 2), ("FRA", 2), ("USA", 0)):
        command = [sys.executable, "-c", hide, *asked, "--country", country]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code, done
        if code:
            (line,) = done.stderr.splitlines()
            assert f"the grid of --country '{country}', is needed: pip install 'qharness[profile]'" in line


def test_a_country_without_a_grid() -> None:
    pytest.importorskip("codecarbon")
    with pytest.raises(UnknownNameError, match=r"unknown country 'UAS': did you mean .*USA"):
        check_country("UAS")


def test_codecarbon_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    assert "pip install 'qharness[profile]'" in counter_missing_reason("cpu")
    with pytest.raises(MissingDependencyError, match=r"codecarbon is needed: pip install 'qharness\[profile\]'"):
        require_power_counter("cpu", "USA")


def run(*arguments: object) -> dict:
    done = CliRunner().invoke(app, ["profile", "--json", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_latency_that_is_known_needs_no_run() -> None:
    document = run("--quant", "int8-dynamic", "--latency", "3.47", "--instance", "p3dn.24xlarge")
    assert document["usd_per_1k"] == pytest.approx(30.1, rel=0.005)
    assert document["gco2eq_per_1k"] == pytest.approx(1309, rel=0.005)
    assert document["latency_s"] == {"median": 3.47, "q1": None, "q3": None}
    assert document["energy"]["source"] == "estimated" and document["instance"] == "p3dn.24xlarge"
    assert document["resident_bytes"] is None and document["storage_bytes"] < run("--latency", "1")["storage_bytes"]
    assert run("--latency", "1", "--instance", "g5.xlarge")["gco2eq_per_1k"] is None


@pytest.mark.long
def test_a_profile_beside_full_precision() -> None:
    few = [
        "--batch-size",
        2,
        "--repeats",
        3,
        "--prompt-tokens",
        16,
        "--new-tokens",
        4,
        "--energy",
        "estimated",
        "--anyway",
    ]
    document = run("--quant", "int8-dynamic", "--instance", "c5.4xlarge", "--dtype", "float32", *few)
    baseline = document["baseline"]
    assert baseline["quantizer"] == "none" and document["quantizer"] == "int8-dynamic"
    for each in (document, baseline):
        assert each["tokens_per_s"] == pytest.approx(4 / each["latency_s"]["median"])
        assert [batch["size"] for batch in each["batches"]] == [1, 2]
        assert each["usd_per_1k"] == pytest.approx(each["latency_s"]["median"] * 1000 / 3600 * 0.68)
        assert each["energy"]["source"] == "estimated" and each["energy"]["reason"] == "as asked"
        assert each["load"]["tasks"] >= 0 and each["load"]["cores"] == os.cpu_count()
        assert 0 < each["process_bytes"]["before"] < each["process_bytes"]["loaded"] <= each["process_bytes"]["peak"]
    for name in ("storage_bytes", "resident_bytes"):
        assert document["ratios"][name] == document[name] / baseline[name] < 0.7
    medians = [each["latency_s"]["median"] for each in (document, baseline)]
    assert document["ratios"]["latency_s"] == medians[0] / medians[1] and statistics.fmean(medians) > 0


def test_without_an_instance_there_are_no_dollars_and_no_grams(in_process: Cli) -> None:  # noqa: F811
    document = run("--quant", "rtn:3", "--latency", "3.47")
    costs = ("usd_per_1k", "gco2eq_per_1k", "energy", "instance", "instance_per_hour")
    assert [document[name] for name in costs] == [None] * len(costs)
    assert document["latency_s"]["median"] == 3.47 and document["storage_bytes"] > 0
    assert document["notes"] == ["no dollars or CO2: no instance is named, and power was not measured: nothing was run"]
    assert CostProfile.of_document(document, "a profile").document == document
    printed = in_process("profile", "--latency", "3.47")
    assert "$" not in printed.stdout and "CO2" not in printed.stdout and "CO2" in printed.stderr
    named = in_process("profile", "--latency", "3.47", "--instance", "c5.2xlarge").stdout
    assert "1,000 predictions, $" in named and "dollars: c5.2xlarge" in named


def test_measured_energy_needs_no_instance(llama: Path) -> None:
    """Grams are of the grid that the power came from; dollars still need a machine's price."""
    energy = MeasuredEnergy("measured", 0.25, 450.0, 400.0, "USA", {}, 10.0, "codecarbon 3")
    model = resolve(bind_model(asked(llama)))
    measured = Measured({1: Latency(2.0, 1.9, 2.5, 10)}, energy=energy)
    found = _costs(ProfileSpec(model), model, None, 1, measured, "")
    assert found.gco2eq_per_1k == 100 and found.energy == energy and found.usd_per_1k is None and found.notes == []


def test_a_profile_of_an_older_version_is_read() -> None:
    """It always had an instance, and no load."""
    old = run("--latency", "2", "--instance", "p3dn.24xlarge")
    del old["load"]
    found = CostProfile.of_document(old, "an old one")
    assert found.load is None and found.instance == "p3dn.24xlarge" and found.usd_per_1k == old["usd_per_1k"]


def test_noise_is_said() -> None:
    steady, uneven = Latency(1.0, 0.99, 1.02, 10), Latency(1.0, 0.9, 1.3, 10)
    assert _noise(steady, MachineLoad(0.1, 1.9, 2)) == [] == _noise(steady, None)
    said = _noise(uneven, MachineLoad(1.2, 0.3, 2))
    assert said == [
        "latencies vary: their quartiles lie 40% of the median apart",
        "the machine was in use: 1.2 other tasks on 2 cores just before; latencies may be long",
    ]


@pytest.fixture
def busy() -> Iterator[None]:
    """Twice as many processes that want a core as there are cores."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()


@pytest.mark.usefixtures("busy")
def test_a_busy_machine_is_refused(llama: Path, in_process: Cli) -> None:  # noqa: F811
    load = machine_load()
    if load is None:
        pytest.skip("the load of a machine is read on Linux only")
    assert load.tasks > load.cores
    one_line(
        in_process("profile", "--model", llama), "the machine is busy:", f"want its {load.cores} cores", "--anyway"
    )


def test_a_pause_is_no_load() -> None:
    """What has ended does not count, as it does in the load average of a minute."""
    load = machine_load()
    if load is None:
        pytest.skip("the load of a machine is read on Linux only")
    assert load.tasks >= 0 and load.cores >= 1
    if load.tasks < 0.5 * load.cores:  # this machine is idle now
        require_idle_cores()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--latency", "1", "--energy", "estimated"], ["goes by an instance's power", "--instance"]),
        (
            ["--instance", "p3dn.24xlrge"],
            ["unknown instance 'p3dn.24xlrge': did you mean p3dn.24xlarge", "--instances"],
        ),
        (["--instances", "/no/such.toml"], ["--instances /no/such.toml cannot be read"]),
        (["--latency", "0"], ["--latency must be a number from"]),
        (["--latency", "nan"], ["--latency must be a number from"]),
        (["--latency", "1", "--energy", "measured"], ["exclude each other"]),
        (["--quant", "int8-dynmic"], ["unknown quantizer"]),
        (["--model", "/no/such/model"], ["there is no such folder"]),
        (["--prompt-tokens", "100000"], ["do not fit the", "tinycoder"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--calib", "nothing", "--quant", "aqlm:2"], ["unknown calibration set 'nothing'"]),
    ],
)
def test_bad_profiles(arguments: list[str], parts: list[str], in_process: Cli) -> None:  # noqa: F811
    one_line(in_process("profile", *arguments), *parts)


def test_energy_that_cannot_be_measured(in_process: Cli) -> None:  # noqa: F811
    reason = counter_missing_reason("cpu")
    if not reason:
        pytest.skip("the processor's energy can be measured here")
    one_line(
        in_process("profile", "--device", "cpu", "--energy", "measured"), "codecarbon" if "pip" in reason else reason
    )
