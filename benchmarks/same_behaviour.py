"""Record what qharness does, to compare before and after a change that is to change nothing.

    python benchmarks/same_behaviour.py before     # at one commit
    python benchmarks/same_behaviour.py after      # at another, in an environment of its own
    diff -r before after

Sixteen commands run on a copy of the bundled model, in a cache of their own. Of each the JSON document, and of each run
the completions, verdicts and metrics are written, without what time, machine and place put into them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from qharness.models.checkpoint import BUNDLED

STUDY = """\
models = ["{model}"]
tasks = ["tiny-python", "tiny-java"]
quants = ["none", "rtn:4", "rtn:2"]
perturbations = ["none", "char:p=0.2"]
samples = 2
limit = 6
"""

# A run's folder is named after the path of its model and its files' times: these are the same at every commit.
REPOSITORY = Path(__file__).resolve().parents[1]
MODEL = Path(tempfile.gettempdir(), "qharness-same-behaviour", "tinycoder")
# A name and its arguments; `{runs}` is the folder of runs.
COMMANDS: tuple[tuple[str, str], ...] = (
    (
        "run-int8",
        "run --model {model} --quant int8-dynamic --task tiny-python --limit 12 --samples 3 --output {runs}/a --json",
    ),
    (
        "run-rtn",
        "run --model {model} --quant rtn:3 --task tiny-python tiny-java --limit 8 --samples 2 --output {runs}/a --json",
    ),
    (
        "run-aqlm",
        "run --model {model} --quant aqlm:3 --calib stdlib:n=16,seqlen=128 --task tiny-java --limit 8 --samples 2"
        " --output {runs}/a --json",
    ),
    (
        "run-perturbed",
        "run --model {model} --quant rtn:3 --perturb char:p=0.2 --task tiny-python --limit 8 --samples 2"
        " --output {runs}/a --json",
    ),
    (
        "run-text",
        "run --model {model} --quant int8-static --calib stdlib:n=8,seqlen=64 --task tiny-summary --limit 8"
        " --output {runs}/a --json",
    ),
    ("study", "study {study} --output {runs}/s --json"),
    ("report", "report {runs}/a {runs}/s --output {runs}/report"),
    ("footprint", "footprint --model {model} --quant aqlm:3 --json"),
    ("footprint-int8", "footprint --model {model} --quant int8-dynamic --json"),
    ("noise", "noise --model {model} --quant rtn:3 --calib stdlib:n=4,seqlen=64 --output {runs}/noise --json"),
    ("quantize", "quantize --model {model} --quant int8-dynamic --output {runs}/checkpoint --json"),
    ("doctor", "doctor --json"),
    ("list", "list --json"),
    ("perturb", "perturb --task tiny-python --perturb word:p=0.2 --output {runs}/perturbed.jsonl"),
)
# Names of fields that hold times, places, versions of this machine, or measurements.
TRANSIENT = re.compile(
    r"seconds|started|finished|_at$|date|duration|elapsed|hostname|machine|threads|memory|peak|version|path|folder|output"
    r"|tokens_a_second|per_second|latency|energy|dollars|co2|gco2|_s$|commit|python|created"
)


def without_transient(value: Any, root: str) -> Any:
    """The same JSON value without fields of time and place; paths under `root` are cut."""
    if isinstance(value, dict):
        return {key: without_transient(entry, root) for key, entry in value.items() if not TRANSIENT.search(key)}
    if isinstance(value, list):
        return [without_transient(entry, root) for entry in value]
    if not isinstance(value, str):
        return value
    return re.sub(r" at 0x[0-9a-f]+|about \d+ (s|min) left", "", value.replace(root, "").replace(str(REPOSITORY), ""))


def lines_of(path: Path, root: str) -> str:
    documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return "".join(json.dumps(without_transient(document, root), indent=1) + "\n" for document in documents)


def record(output: Path) -> None:
    work = output.with_name(output.name + ".work")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)
    work.mkdir(parents=True)
    output.mkdir(parents=True)
    root = str(work.resolve())
    (work / "study.toml").write_text(STUDY.format(model=MODEL), encoding="utf-8")
    copy_model()
    environment = os.environ | {"QHARNESS_CACHE_DIR": f"{root}/cache", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    commands = [
        (name, text.format(runs=root + "/runs", study=root + "/study.toml", model=MODEL)) for name, text in COMMANDS
    ]
    for name, text in commands:
        one_command(name, text, output, root, environment)
    runs = sorted(Path(root, "runs").rglob("run.json"))
    first, second = two_alike(runs)
    one_command("compare", f"compare {first} {second} --json", output, root, environment)
    one_command("score", f"score --task tiny-python --samples {second}/samples.jsonl --json", output, root, environment)
    for path in sorted(Path(root, "runs").rglob("*")):
        written(path, Path(root, "runs"), output, root)


def copy_model() -> None:
    """Put the bundled model where `MODEL` is, unless it is there, with files as old as they always are."""
    if MODEL.exists():
        return
    shutil.copytree(BUNDLED["tinycoder"], MODEL)
    for path in MODEL.iterdir():
        os.utime(path, (0, 0))


def two_alike(runs: list[Path]) -> tuple[str, str]:
    """Full precision and rtn:3 of tiny-python, of the first folder."""
    folders = {path.parent.name: str(path.parent) for path in runs if path.parents[1].name == "a"}
    names = sorted(name for name in folders if "tiny-python" in name and "@" not in name and "char" not in name)
    print("runs of tiny-python:", *names, file=sys.stderr)
    return folders[names[0]], folders[names[-1]]


def one_command(name: str, text: str, output: Path, root: str, environment: dict[str, str]) -> None:
    """Run the command; write its document, exit status and, where it has no document, its text."""
    done = subprocess.run(
        [sys.executable, "-m", "qharness", *text.split()], env=environment, capture_output=True, text=True, check=False
    )
    print(f"{name}: {done.returncode}", file=sys.stderr)
    if done.returncode not in (0, 1):
        print(done.stderr[-2000:], file=sys.stderr)
    try:
        document = json.dumps(without_transient(json.loads(done.stdout), root), indent=1)
    except ValueError:
        document = done.stdout.replace(root, "")
    (output / f"{name}.txt").write_text(f"exit {done.returncode}\n{document}\n", encoding="utf-8")


def written(path: Path, runs: Path, output: Path, root: str) -> None:
    """Copy what a command wrote, without times and places."""
    target = output / "files" / path.relative_to(runs)
    texts = {".json", ".jsonl", ".csv", ".md", ".tex", ".html"}
    if not path.is_file() or path.suffix not in texts:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        target.write_text(lines_of(path, root), encoding="utf-8")
    elif path.suffix == ".json":
        document = without_transient(json.loads(path.read_text(encoding="utf-8")), root)
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    else:
        target.write_text(path.read_text(encoding="utf-8").replace(root, ""), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    record(parser.parse_args().output)
