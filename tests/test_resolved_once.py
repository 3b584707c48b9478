"""One run resolves each thing once: spec strings, configurations, run documents, toolchains."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from qharness import spec
from qharness.storage import json_reader
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, key: Callable[..., object]) -> Counter[object]:
    """How often `owner.name` is called from now on, by `key` of its arguments, wherever it has been imported to."""
    real, counts = getattr(owner, name), Counter[object]()

    def wrapper(*arguments: Any, **options: Any) -> Any:
        counts[key(*arguments, **options)] += 1
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapper)
    for module in [module for at, module in sys.modules.items() if at.startswith("qharness.")]:
        if vars(module).get(name) is real:
            monkeypatch.setattr(module, name, wrapper)
    return counts


def test_each_thing_is_resolved_once(in_process: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run with its baseline; and of the same command again, which finds both whole and loads no configuration."""
    import qharness.study.run_jobs  # noqa: F401 - and all that it imports, which is wrapped where it is
    from qharness.execution import toolchains

    specs = counted(monkeypatch, spec, "_tokens", lambda text: text)
    configs = counted(monkeypatch, transformers.AutoConfig, "from_pretrained", lambda source, *_, **__: source)
    documents = counted(monkeypatch, json_reader, "read_text", lambda path, *_: path)
    languages = counted(monkeypatch, toolchains, "find_toolchain", lambda language, *_: language.name)
    command = ("run", "--quant", "rtn:3", "--task", "tiny-python", "--limit", 3, "--output", tmp_path)
    for again in (False, True):
        done = in_process(*command)
        assert done.returncode == 0, done.stderr
        assert specs["rtn:3"] == 1 and set(specs.values()) == {1}, specs
        assert sorted(configs.values()) == [1] * (not again), configs
        assert sorted(languages.values()) == [1] * (not again), languages
        read = {path: count for path, count in documents.items() if Path(str(path)).name == "run.json"}
        assert set(read.values()) <= {1}, read
        for counts in (specs, configs, documents, languages):
            counts.clear()
    assert len(read) == 2


def test_a_plan_looks_once_at_what_its_jobs_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A large grid's `--dry-run`: a task is loaded once for all quantizers, and a configuration for all of its model's."""
    from qharness import RunSpec
    from qharness.evaluate.run import lm_eval_bridge
    from qharness.study import run_jobs  # noqa: F401 - as above
    from qharness.study.jobs import Job
    from qharness.study.sweep import plan, with_baselines

    tasks = counted(monkeypatch, lm_eval_bridge, "load_task", lambda name, *_: name)
    configs = counted(monkeypatch, transformers.AutoConfig, "from_pretrained", lambda source, *_, **__: source)
    names = ("tiny-python", "tiny-summary")
    wanted = [RunSpec(task, quant=f"rtn:{bits}", output=tmp_path) for bits in (2, 3, 4, 8) for task in names]
    planned = list(plan([Job(spec) for spec in with_baselines(wanted)]))
    assert len(planned) == 10 and not any(each.error for each in planned)
    assert len({each.folder for each in planned}) == 10
    assert tasks == dict.fromkeys(names, 1) and list(configs.values()) == [1]
