"""Every command in the documentation parses and names what exists; each is run here, or is among those that say why not.

A command on a page that is neither run nor excused fails `test_every_command_is_run_or_says_why_not`: give it a row.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import sys
import textwrap
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import typer.main

from qharness.cli import app, main
from qharness.models.presets import PRESETS
from qharness.registry import get_registry
from qharness.spec import parse, parse_task
from tests.conftest import REPOSITORY, skip_for_a_missing_tool
from tests.documented import PAGES, Command, commands, split

GROUP: Any = typer.main.get_command(app)
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_-]*(?:\.\w+)?")

# Run in this order, in one folder, with what makes them small; DIR is a model's folder.
RUN = {
    "list": "",
    "list presets": "",
    "list languages": "",
    "list tasks --path": "",
    "run --quant rtn:3 --task tiny-python --samples 2 --dry-run": "--limit 2",
    "run --quant rtn:3 --task tiny-python --samples 2": "--limit 2",
    "choose --task tiny-python --quant rtn:2 rtn:3 rtn:4 int8-dynamic --samples 20 --max-loss 3": "--limit 2 --samples 1 --output searched",
    "quantize --quant rtn:3 --output rounded": "",
    "run --model rounded --baseline tinycoder --task tiny-python --samples 2": "--limit 2",
    "run --task tiny-python --quant rtn:3 --dry-run": "--limit 2 --samples 1",
    "runs": "",
    "compare RUN_A RUN_B": "",
    "compare RUN_A last": "",
    "score --task tiny-python --samples last": "",
    "compare RUN_A RUN_B --examples 5": "",
    "report runs --output report": "",
    "export RUN --format human-eval --output samples.jsonl": "",
    "export RUN --format evalplus --output samples.jsonl": "--output evalplus.jsonl",
    "export RUN --format multipl-e --output FOLDER": "--output multipl-e",
    "export RUN --format lm-eval --output FOLDER": "",
    "footprint --quant aqlm:3": "",
    "footprint --model DIR --quant aqlm:3": "",
    "profile --quant int8-dynamic --latency 2.47 --instance p3dn.24xlarge": "",
    "study first.toml --dry-run": "",
    "study examples/studies/tinycoder.toml": "--dry-run",
    "study examples/studies/aqlm.toml": "--dry-run",
    "study examples/studies/verdicts.toml --output build/verdicts/runs --max-loss 5": "--dry-run",
    "perturb --task tiny-python --perturb apertium --output perturbed.md": "",
    "new-plugin mine": "",
    "cache ls": "",
}

# The others, by what they need; patterns of fnmatch, in which [ is not special.
NOT_RUN = {
    "a checkpoint, files, weights or packages of the reader's": (
        "* Salesforce/*",
        "study examples/studies/wei-2023-rq2.toml *",
        "study examples/studies/smollm2-chat.toml *",
        "report runs/wei-2023 *",
        "report build/verdicts/runs *",
        "quantize *DIR*",
        "run --model DIR *",
        "run --model FILE.gguf *",
        "choose --model FILE.gguf *",
        "footprint --model FILE.gguf",
        "run --model OUT *",
        "run --model build/real/*",
        "run --quant int8-static:per-column --calib 'files:*",
        "perturb --task T *",
        "score --task humaneval --samples *",
        "score --task mbpp-plus --samples *",
        "score --task multiple-java --samples FOLDER",
        "run --backend llamacpp *",
        "run --backend openai *",
        "run --task bigcode:*",
        "perturb --task mbpp --perturb nlaugmenter:*",
        "* --track mlflow",
    ),
    "the benchmarks' data, which is fetched, and minutes: tests/test_run.py and test_perturbed.py make such runs": (
        "run --quant aqlm:3 --task mceval-java",
        "run --quant hf:bnb-nf4 --task mceval-java",
        "run --quant gguf:q4_0 --task mceval-java",
        "run --task mbpp*",
        "run --task humaneval-plus *",
        "run --task mceval-c *",
        "score --task mceval-cpp *",
        "perturb --task mbpp --perturb word *",
        "run --task mceval-java@char+word",
        "perturb --task mceval-java --perturb word:0.3,tagger=nltk *",
    ),
    "minutes: test_hosting.py, test_noise.py, test_perturbed.py, test_study.py and test_tinycoder.py have such in small": (
        "run --quant int8-dynamic --task tiny-java",
        "run --quant rtn:3 --task tiny-python",
        "run --task tiny-python@word:0.5 --quant rtn:3",
        "run --task tiny-python --perturb apertium",
        "noise --quant int8-dynamic --*",
        "profile --quant int8-dynamic*",
        "profile --model DIR *",
        "study first.toml",
    ),
    "a plugin that is not installed here: .ci/plugins installs these": (
        "run --quant mine *",
        "run --quant hqq:4 *",
        "footprint --quant hqq:4,group=32",
        "run --quant rtn:4 --task js-ten",
    ),
    "seconds of its own: tests/test_cli.py": ("doctor", "setup"),
    "lm-eval's own command line; tests/test_run.py goes through it": ("lm-eval *",),
}


def all_blocks() -> list[Command]:
    """Whole commands that stand in blocks of code, without forms such as `run --task T [options]`."""
    return [command for command in commands() if command.block and not command.is_form]


def excuse(command: Command) -> str | None:
    """Why a command is not run."""
    for reason, patterns in NOT_RUN.items():
        if any(fnmatchcase(command.text, pattern.replace("[", "[[]")) for pattern in patterns):
            return reason
    return None


def test_every_command_is_run_or_says_why_not() -> None:
    texts = {command.text for command in commands()}
    neither = {f"{c.page.name}: {c.text}" for c in all_blocks() if c.text not in RUN and excuse(c) is None}
    assert not neither, neither
    assert not set(RUN) - texts, "rows of RUN that no page shows"
    for patterns in NOT_RUN.values():
        for pattern in patterns:
            assert any(fnmatchcase(text, pattern.replace("[", "[[]")) for text in texts), f"no page shows {pattern}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_and_their_options_exist(page: Path) -> None:
    for command in commands():
        if command.page != page or command.name.startswith("--"):
            continue
        assert command.name in GROUP.commands, f"{page.name}: qharness {command.text}"
        if command.name == "lm-eval":
            continue
        known = {flag for each in GROUP.commands[command.name].params for flag in (*each.opts, *each.secondary_opts)}
        assert command.flags <= known | {"--help"}, f"{page.name}: qharness {command.text}"


@pytest.mark.parametrize("text", sorted({command.text for command in all_blocks()}))
def test_a_command_parses_and_names_what_exists(text: str) -> None:
    name, *words = shlex.split(text)
    if name in ("lm-eval", "--version", "--help"):
        return
    context = GROUP.commands[name].make_context(name, words)
    values = {key: value for key, value in context.params.items() if value is not None}
    registry = get_registry()
    for spec in texts(values.get("quant")):
        found = parse(spec).name
        assert found in example_names() or registry.quantizer(spec), spec
    for key in ("calib", "inputs"):
        for spec in texts(values.get(key)):
            assert parse(spec).name in example_names() or registry.calibration_set(spec), spec
    for task in [*texts(values.get("task")), *texts(values.get("more_tasks"))]:
        check_task(task)
    for spec in texts(values.get("perturb")):
        check_task(f"tiny-python@{spec}")
    for model in [*texts(values.get("model")), *texts(values.get("baseline"))]:
        assert model in {"tinycoder", *PRESETS, *made(), *real()} or re.fullmatch(r"[\w-]+/[\w.-]+", model), model
    if name == "study" and not PLACEHOLDER.fullmatch(str(values["file"])):
        assert (REPOSITORY / values["file"]).is_file() or f"Write `{values['file']}`" in all_text(), values["file"]


def real() -> set[str]:
    """The folders and files that `make real-models` makes."""
    text = (REPOSITORY / "examples/real_models/convert.py").read_text(encoding="utf-8")
    rows = re.findall(r'RealModel\("([\w.-]+)".*?(?:, "([\w-]+)")?\)', text)
    files = {f"build/real/{name}.gguf" for row in rows for name in row if name}
    return files | {f"build/real/{name}" for name, _ in rows}


def texts(value: Any) -> list[str]:
    """An option's values that are no placeholders such as SPEC or DIR."""
    listed = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
    return [str(each) for each in listed if not PLACEHOLDER.fullmatch(str(each))]


def check_task(text: str) -> None:
    """A task is ours, an example's or lm-eval's, and its perturbations exist."""
    if get_registry().family(text):
        return  # its names are another package's to know
    task, chain = parse_task(text)
    assert task in get_registry().tasks or task in example_names() or lm_eval_has(task), task
    for spec in chain:
        assert spec.name in example_names() or get_registry().perturbation(str(spec)), text


def lm_eval_has(task: str) -> bool:
    """Whether lm-eval has a task file of this name."""
    import importlib.util

    spec = importlib.util.find_spec("lm_eval")
    assert spec and spec.origin
    return any(Path(spec.origin).parent.glob(f"tasks/**/{task}.yaml"))


def example_names() -> set[str]:
    """What the example packages and the pages' own examples are called, which need not be installed."""
    sources = [*REPOSITORY.glob("examples/*/*/*.py"), *REPOSITORY.glob("examples/*/*/*.yaml"), *PAGES]
    named = re.compile(r'^\s*(?:name: ClassVar\[str\] = "([\w-]+)"|task: ([\w-]+))', re.MULTILINE)
    written = {command.words[1] for command in commands() if command.name == "new-plugin" and command.words[1:]}
    return written | {a or b for path in sources for a, b in named.findall(path.read_text(encoding="utf-8"))}


def made() -> set[str]:
    """The folders that commands on the pages write."""
    pairs = [pair for command in all_blocks() for pair in itertools.pairwise(command.words)]
    return {word for flag, word in pairs if flag == "--output"}


def all_text() -> str:
    """The pages in one."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_make_targets_and_scripts_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        blocks, sentences = split(page.read_text(encoding="utf-8"))
        code = "\n".join([blocks, *re.findall(r"`([^`]+)`", sentences)])
        for target in re.findall(r"^make ([a-z-]+)", code, re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"
        for script in re.findall(r"(?:examples|benchmarks|docs)/[\w/.-]+\.(?:py|toml)", code):
            assert (REPOSITORY / script).is_file(), f"{page.name}: {script}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run: with the repository's examples, and a model's folder as DIR."""
    from qharness.models.checkpoint import BUNDLED

    folder = tmp_path_factory.mktemp("documented")
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    shutil.copytree(BUNDLED["tinycoder"], folder / "DIR")
    start = (REPOSITORY / "docs/start.md").read_text(encoding="utf-8")
    first = start.split("Write `first.toml`:\n\n")[1].split("\n\n")[0]
    (folder / "first.toml").write_text(textwrap.dedent(first), encoding="utf-8")
    return folder


@pytest.mark.parametrize("text", RUN)
def test_run(text: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if "apertium" in text and shutil.which("apertium") is None:
        pytest.skip("needs apertium")
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = shlex.split(text) + shlex.split(RUN[text])
    named = {
        "RUN": "runs/tinycoder--rtn_3--*tiny-python*",
        "RUN_A": "runs/tinycoder--none--*tiny-python*",
        "RUN_B": "runs/tinycoder--rtn_3--*tiny-python*",
    }
    arguments = [str(*place.glob(named[word])) if word in named else word for word in words]
    monkeypatch.setattr(sys, "argv", ["qharness", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    output = capsys.readouterr()
    if end.value.code == 1:
        skip_for_a_missing_tool(output.out)
    assert end.value.code in (0, None), output.err
    written = words[words.index("--output") + 1] if "--output" in words else ""
    assert output.out.strip() or (place / written).stat().st_size
