"""The command line: what it lists, and that bad input gets one line and exit code 2 and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qharness.cli import main
from qharness.execution.toolchains import find_toolchain
from qharness.registry import get_registry
from tests.conftest import install_plugin

Cli = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = (
    "run",
    "quantize",
    "footprint",
    "noise",
    "profile",
    "score",
    "export",
    "study",
    "cache",
    "compare",
    "list",
    "doctor",
    "setup",
    "lm-eval",
    "perturb",
    "new-plugin",
    "report",
)


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--json"], ["run", "--help"], ["compare", "/no", "/where"]])
def test_the_light_commands_import_neither_torch_nor_lm_eval(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom qharness.cli import main\n"
        f"sys.argv = ['qharness', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'lm_eval', 'transformers', 'datasets'} & set(sys.modules)\n"
        "sys.stderr.write('HEAVY ' + ','.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith("HEAVY "), done.stderr


def test_help_names_every_command(cli: Cli) -> None:
    shown = cli("--help").stdout
    assert all(command in shown for command in COMMANDS)
    bare = cli()
    assert bare.returncode in (0, 2) and bare.stderr == ""


def test_list_json(cli: Cli) -> None:
    done = cli("list", "--json")
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert set(document) == {"quantizers", "calibration-sets", "perturbations", "tasks", "languages", "plugins"}
    for rows in document.values():
        for row in rows:
            assert {"name", "summary", "options", "plugin", "version"} <= set(row)
    int8 = next(row for row in document["quantizers"] if row["name"] == "int8-dynamic")
    options = [(option["name"], option["default"]) for option in int8["options"]]
    assert options[:3] == [("weights", "per-tensor"), ("activations", "token"), ("loss", "max")]
    assert {row["name"] for row in document["tasks"]} >= {"humaneval", "mceval-python", "mceval-java"}
    assert all(row["summary"] for kind in ("quantizers", "tasks", "languages") for row in document[kind])


def test_list_one_kind_and_path(cli: Cli) -> None:
    assert list(json.loads(cli("list", "languages", "--json").stdout)) == ["languages"]
    folder = Path(cli("list", "tasks", "--path").stdout.strip())
    assert (folder / "humaneval/humaneval.yaml").is_file()
    assert "int8-dynamic" in cli("list", "quantizers").stdout


@pytest.mark.long
def test_setup_names_what_is_missing_the_tasks_that_need_it_and_the_command(cli: Cli, tmp_path: Path) -> None:
    path = path_with(tmp_path, "prlimit", "setpriv", "true")
    missing = json.loads(cli("setup", "--json", "tiny-java", "tiny-python", PATH=path, JAVA_HOME="").stdout)["missing"]
    assert [(row["tasks"], row["fix"].split(",")[0]) for row in missing] == [
        (["tiny-java"], "apt-get install default-jdk-headless")
    ]
    shown = cli("setup", "tiny-java", PATH=path, JAVA_HOME="")
    assert shown.returncode == 0 and "apt-get install default-jdk-headless" in shown.stdout
    nothing = cli("setup", "tiny-python", PATH=path)
    assert nothing.stdout == "nothing is missing\n"
    refused = cli("setup", "--yes", "tiny-java", PATH=path, JAVA_HOME="")  # no apt-get on this PATH
    assert refused.returncode == 1 and "default-jdk-headless" in refused.stdout


@pytest.mark.long
def test_doctor(cli: Cli) -> None:
    done = cli("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {"python", "torch", "sandbox", "java"} <= set(checks)
    assert all(check["fix"] for check in checks.values() if not check["ok"])
    assert checks["sandbox"]["ok"] and checks["python"]["ok"]
    find_toolchain(get_registry().language("java"))  # which says what is missing
    assert checks["java"]["ok"]


@pytest.fixture
def in_process(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command line in this process, which has paid for the imports already."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.delenv("QHARNESS_DATA_DIR", raising=False)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setenv("HF_HOME", "/no/such/home")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # it was read when that was imported
        monkeypatch.setattr(sys, "argv", ["qharness", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        output = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, int(end.value.code or 0), output.out, output.err)

    return run


def one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--quant", "int8-dynmic"], ["unknown quantizer 'int8-dynmic'", "int8-dynamic"]),
        (["--quant", "int8-dynamic:"], ["spec 'int8-dynamic:' does not parse"]),
        (["--quant", "int8-dynamic:activation=tensor"], ["no option 'activation'", "activations"]),
        (["--quant", "int8-dynamic:sometimes"], ["must be one of per-tensor, per-column"]),
        (["--model", "/no/such/model"], ["there is no such folder"]),
        (["--model", "/usr"], ["is no model", "config.json is missing"]),
        (["--data-dir", "/no/data"], ["/no/data/humaneval/HumanEval.jsonl.gz is missing", "https://"]),
        ([], ["HF_HUB_OFFLINE=1", "--data-dir DIR"]),
        (["--batch-size", "0"], ["--batch-size must be auto or a whole number"]),
        (["--samples", "0"], ["--samples", "1"]),
        (["--device", "tpu"], ["tpu"]),
        (["--device", "cuda"], ["--device cuda", "--device cpu"]),
        (["--dtype", "int8"], ["int8"]),
        (["--baseline", "/no/such/model"], ["/no/such/model"]),
        (["--baseline", "x", "--no-baseline"], ["exclude each other"]),
        (["--no-such-option"], ["--no-such-option"]),
    ],
)
def test_bad_runs(arguments: list[str], parts: list[str], in_process: Cli, random_llama: Path, tmp_path: Path) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    output = tmp_path / "runs"
    model = [] if "--model" in arguments else ["--model", str(random_llama)]
    one_line(in_process("run", "--task", "humaneval", *model, "--output", output, *arguments), *parts)
    assert not output.exists()


def test_unknown_task(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    one_line(
        cli("run", "--task", "humanevil", "--model", random_llama, "--output", tmp_path / "r"),
        "unknown task 'humanevil'",
        "humaneval",
    )
    assert not (tmp_path / "r").exists()


def test_options_that_do_not_apply_and_output_that_cannot_be_written(
    cli: Cli, random_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = cli("run", "--task", "warmup-python", "--model", random_llama, "--limit", 1, "--output", tmp_path / "file")
    assert done.returncode == 2 and "--output" in done.stderr and "Traceback" not in done.stderr
    one_line(cli("list", "quantizers", "--path"), "--path goes with")


SAMPLES = {
    "not JSON": ('{"task_id": "Python/add", "completion": ""}\n{"task_id": "Python/add", "comp', "line 2 is no JSON"),
    "no completion": ('{"task_id": "Python/add"}\n', "line 1 has no 'completion'"),
    "no object": ("[1]\n", "line 1 has no 'task_id'"),
    "no such problem": (
        '\n{"task_id": "Python/nope", "completion": ""}\n',
        "line 2: warmup-python has no problem 'Python/nope'",
    ),
    "no text": ('{"task_id": "Python/add", "completion": 3}\n', "line 1: 'completion' is no text"),
    "empty": ("\n", "has no samples"),
}


@pytest.mark.parametrize("case", SAMPLES)
def test_bad_samples(case: str, in_process: Cli, tmp_path: Path) -> None:
    content, complaint = SAMPLES[case]
    path = tmp_path / "samples.jsonl"
    path.write_text(content)
    one_line(
        in_process("score", "--task", "warmup-python", "--samples", path, "--output", tmp_path / "out.jsonl"), complaint
    )
    assert not (tmp_path / "out.jsonl").exists()


def test_score_writes_the_lines_back(cli: Cli, tmp_path: Path) -> None:
    rows = [
        {"task_id": "Python/add", "completion": "    return a + b", "mine": 1},
        {"task_id": "Python/add", "completion": "    return a - b", "mine": 2},
        {"task_id": "Python/factorial", "completion": "    return 1 if n < 2 else n * factorial(n - 1)"},
    ]
    path, output = tmp_path / "samples.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli("score", "--task", "warmup-python", "--samples", path, "--output", output, "--json")
    document = json.loads(done.stdout)
    assert {"task", "n_problems", "n_samples", "passed", "pass@1", "status", "seconds", "isolation", "cached"} <= set(
        document
    )
    assert (document["n_problems"], document["n_samples"], document["passed"]) == (2, 3, 2)
    assert document["pass@1"] == pytest.approx(0.75)
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["status"] for row in written] == ["passed", "failed", "passed"]
    assert [row.get("mine") for row in written] == [1, 2, None]
    assert all({"task_id", "completion", "status", "passed", "seconds"} <= set(row) for row in written)


def path_with(tmp_path: Path, *tools: str) -> str:
    """A PATH on which only these of the system's tools are to be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in tools:
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return str(folder)


def test_no_jdk(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    path = path_with(tmp_path, "prlimit", "setpriv", "true")
    done = cli(
        "run", "--task", "warmup-java", "--model", random_llama, "--output", tmp_path / "r", PATH=path, JAVA_HOME=""
    )
    one_line(done, "a JDK", "apt-get install default-jdk-headless")
    assert not (tmp_path / "r").exists()


def test_no_sandbox(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    path = path_with(tmp_path, "prlimit")
    (tmp_path / "bin/bwrap").symlink_to("/bin/false")
    arguments = ["run", "--task", "warmup-python", "--model", random_llama, "--output", tmp_path / "r", "--limit", 1]
    arguments += ["--samples", 1, "--max-new-tokens", 8]
    one_line(cli(*arguments, PATH=path), "no sandbox", "bubblewrap", "--allow-unsandboxed")
    assert not (tmp_path / "r").exists()
    allowed = cli(*arguments, "--allow-unsandboxed", "--json", PATH=path)
    assert allowed.returncode == 0, allowed.stderr
    assert json.loads(allowed.stdout)["isolation"] == "none"


def test_a_plugin_that_fails_to_import_is_reported_and_skipped(cli: Cli, tmp_path: Path) -> None:
    path = install_plugin(tmp_path, "fragile", "import no_such_module_here\n")
    done = cli("list", "--json", PYTHONPATH=path)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "plugin 'fragile' was skipped, it does not import: ModuleNotFoundError: No module named 'no_such_module_here'"
    ]
    assert "none" in {row["name"] for row in json.loads(done.stdout)["quantizers"]}
    doctor = json.loads(cli("doctor", "--json", PYTHONPATH=path).stdout)
    assert not next(c for c in doctor["checks"] if c["name"] == "plugin fragile")["ok"]


def test_two_plugins_with_one_name(cli: Cli, tmp_path: Path) -> None:
    code = (
        "from qharness import hookimpl\n"
        "class Q:\n    name = 'none'\n"
        "@hookimpl\ndef qharness_quantizers():\n    return [Q]\n"
    )
    path = install_plugin(tmp_path, "rival", code)
    one_line(
        cli("list", PYTHONPATH=path), "quantizer 'none' is offered by two plugins", "rival", "qharness.plugins.none"
    )


def test_a_misspelt_hook(cli: Cli, tmp_path: Path) -> None:
    code = "from qharness import hookimpl\n@hookimpl\ndef qharness_quantisers():\n    return []\n"
    one_line(
        cli("list", PYTHONPATH=install_plugin(tmp_path, "typo", code)), "qharness_quantisers", "qharness_quantizers"
    )


def test_a_bad_model_argument_of_lm_eval_is_one_line_too(cli: Cli) -> None:
    done = cli(
        "lm-eval", "run", "--model", "qharness", "--model_args", "pretrained=/no/such/model", "--tasks", "warmup-python"
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "qharness: model '/no/such/model': there is no such folder"
