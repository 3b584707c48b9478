"""A finished run with the comparison with its baseline. Light: neither torch nor lm-eval is imported."""

from __future__ import annotations

import dataclasses

from qharness.evaluate.run.run_folder import RUN
from qharness.results import RunResult
from qharness.specs import MaxLoss
from qharness.stats.comparison_cache import RecordedRun, compare_once
from qharness.stats.judged_runs import ComparedRun, judge_models, verdict_of
from qharness.storage.atomic_writer import write_json
from qharness.storage.json_values import json_safe


def compared(result: RunResult, baseline: RunResult, max_loss: MaxLoss) -> RunResult:
    """The result with the comparison with its baseline, and the verdict, in its document and in its run.json."""
    found = compare_once(RecordedRun.of(baseline), RecordedRun.of(result))
    if found is None:
        return RunResult(result.folder, result.document, baseline)
    record = dataclasses.replace(result.record, baseline=found)
    ((judged,),) = judge_models([ComparedRun(record, baseline.record)], max_loss).values()
    verdict = verdict_of(judged)
    added = {"baseline": json_safe(found.document)}
    if verdict is not None:
        added["verdict"] = json_safe(verdict.document)
    document = {**result.document, **added}
    if document != result.document:
        write_json(result.folder / RUN, document)
    return RunResult(result.folder, document, baseline)
