"""Evaluates one cell and writes its folder; run.json last."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from qharness.evaluate.run.run_folder import JOURNAL, RESULTS, RUN, SAMPLES, Journal, relatives
from qharness.evaluate.run.run_plan import PlannedRun
from qharness.execution import choose_isolation
from qharness.filters import ExecutionOptions, executed, execution_options
from qharness.models.decoding import prompt_sha
from qharness.models.lm_interface import Facts, Made
from qharness.models.weight_footprint import checkpoint_figures
from qharness.storage.atomic_writer import write_json, write_lines
from qharness.storage.json_reader import parse_json
from qharness.storage.json_values import json_text

_PACKAGES = ("qharness", "lm_eval", "torch", "transformers", "numpy")


def evaluate_run(cell: PlannedRun, made: Made, files: Mapping[str, str]) -> dict[str, Any]:
    """Run lm-eval on a model that is already quantized, and write the run's folder, which must be `claimed`.

    Returns the document of its run.json.

    A folder that a killed run left resumes: the completions in its journal are not made again.
    """
    import lm_eval

    others = [] if cell.model.quantizer.batch_dependent else relatives(cell.folder)
    journal = Journal(cell.folder / JOURNAL, [folder / JOURNAL for folder in others])
    lm = made.lm(cell.spec.seed, cell.spec.batch_size)
    lm.known = journal.completions
    lm.on_batch = journal.append
    lm.batch_dependent = cell.model.quantizer.batch_dependent
    start = time.monotonic()
    with execution_options(
        ExecutionOptions(cell.spec.allow_unsandboxed, True, cell.task.packages, cell.task.toolchains)
    ):
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=cell.task.objects,
            task_manager=cell.task.manager,
            limit=cell.spec.limit,
            bootstrap_iters=0,
            confirm_run_unsafe_code=cell.spec.allow_unsandboxed,
            random_seed=cell.spec.seed,
            numpy_random_seed=cell.spec.seed,
            torch_random_seed=cell.spec.seed,
            fewshot_random_seed=cell.spec.seed,
        )
    total = time.monotonic() - start
    facts: Facts = lm.facts()
    samples = results.pop("samples")
    results["config"] |= {"model": "qharness", "model_args": {"pretrained": cell.spec.model, "quant": cell.spec.quant}}
    rows = sample_rows(cell, samples)
    if rows:
        write_lines(cell.folder / SAMPLES, rows)
    write_json(cell.folder / RESULTS, results)
    document = {
        "spec": {**dataclasses.asdict(cell.spec), "output": str(cell.spec.output)},
        "metrics": metrics_of(cell, results),
        "seeds": {"sampling": cell.spec.seed},
        "versions": {**{name: _version(name) for name in _PACKAGES}, **_program_versions(cell)},
        "machine": {"platform": platform.platform(), "device": facts.device, "dtype": facts.dtype},
        "data": [{"file": name, "sha256": digest} for name, digest in files.items()],
        "hosting": {
            "resident_bytes": facts.resident_bytes,
            "weight_bytes": facts.weight_bytes,
            **checkpoint_figures(cell.model.checkpoint, cell.model.quantizer),
            "layers": facts.layers,
        },
        "timings": {"total_s": round(total, 3), "generation_s": round(lm.seconds, 3)},
        "isolation": choose_isolation(cell.spec.allow_unsandboxed).name if cell.task.languages else None,
        **({"executed": executed(rows)} if cell.task.languages else {}),
        "batches": {"size": lm.at_a_time, "rows": lm.batches if lm.batch_dependent else None},
        "quantization": list(made.log),
        **({"untouched": made.untouched.document()} if made.untouched else {}),
        "generation": {name: task.get_config("generation_kwargs") for name, task in cell.task.tasks.items()},
        "notes": [*notes_of(facts, lm.batch_dependent, made.composition), *cell.task.notes],
    }
    write_json(cell.folder / RUN, document)
    written: dict[str, Any] = parse_json(json_text(document))  # as it will be read
    return written


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _program_versions(cell: PlannedRun) -> dict[str, dict[str, str]]:
    """The versions of what runs programs, by language, and of the packages that these may import, by name."""
    found = cell.task.toolchains
    seen = {name: version for toolchain in found.values() for name, version in toolchain.packages}
    return {
        "toolchains": {name: toolchain.version for name, toolchain in found.items()},
        **({"packages": seen} if seen else {}),
    }


def notes_of(facts: Facts, batch_dependent: bool, composition: Mapping[str, int] | None) -> list[str]:
    """What a reader of the run must know besides its figures."""
    notes = list(facts.notes)
    if batch_dependent:
        notes.append("this quantizer's results depend on which rows share a batch")
    if composition:
        notes.append(f"calibrated on {json.dumps(dict(composition))}")
    return notes


def metrics_of(cell: PlannedRun, results: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """lm-eval's metrics by task, without the filter's name and the standard errors; the group's, if it is one."""
    found = {}
    for task, values in {**results["results"], **results.get("groups", {})}.items():
        named = {key.split(",")[0]: value for key, value in values.items() if isinstance(value, int | float)}
        found[task] = {
            key: value for key, value in named.items() if not key.endswith("_stderr") and key != "sample_len"
        }
    return {cell.spec.task: found.pop(cell.spec.task, {}), **found}


def sample_rows(cell: PlannedRun, samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The lines of samples.jsonl: one for each completion, by document and sample.

    `level` is the problem's difficulty, where the benchmark says it. One that was not run, in a task without programs,
    has no status; it carries its document's metrics and reference instead.
    """
    rows = []
    for task, logged in samples.items():
        if cell.task.tasks[task].get_config("output_type") != "generate_until":
            continue
        for sample in sorted(logged, key=lambda s: s["doc_id"]):
            common = {
                "task": task,
                "doc_id": sample["doc_id"],
                "task_id": sample["doc"].get("task_id"),
                "seed": cell.spec.seed,
                "prompt_sha": prompt_sha(sample["arguments"][0][0]),
                "prompt": sample["arguments"][0][0],
                **({"level": sample["doc"]["level"]} if "level" in sample["doc"] else {}),
            }
            for index, verdict in enumerate(_verdicts(sample)):
                rows.append({**common, "sample": index, **verdict})
    return rows


def _verdicts(sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = sample["filtered_resps"][0]
    if isinstance(found, list) and found and isinstance(found[0], dict) and "status" in found[0]:
        return [{key: value for key, value in verdict.items() if key != "cached"} for verdict in found]
    unrun = {"status": None, "passed": None, "seconds": None}
    whole = {
        "metrics": {name: sample[name] for name in sample["metrics"]},
        "reference": sample["target"],
    }
    return [{"completion": text, **unrun, **whole} for text in sample["resps"][0]]
