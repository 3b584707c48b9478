"""Makes tasks of lm-eval out of tasks of bigcode-evaluation-harness."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lm_eval.api.task import ConfigurableTask

from qharness import test_split
from qharness.plugins.bigcode.bigcode_problems import loaded_problems, loaded_task
from qharness.plugins.bigcode.own_folder import own_folder

# Its own defaults of sampling. Its 512 tokens include the prompt; ours are of the completion.
_GENERATION = {"do_sample": True, "temperature": 0.2, "top_p": 0.95, "max_gen_toks": 512}
_RATE = "pass@1"

Results = Mapping[str, float]


@dataclass(frozen=True)
class _Judged:
    """The outcome of one problem: postprocessed texts, results, and verdicts if they can be known."""

    generations: list[Any]
    results: Results
    verdicts: list[dict[str, Any]]


class BigcodeTask(ConfigurableTask):  # type: ignore[misc]
    """One task. The results of a run come from one call of the task's `process_results` with all problems.

    Comparisons need results by problem, so it is called for each problem alone too, and for each sample where a
    problem's samples differ. If programs are executed, results of single problems count only if their mean equals the
    result of all problems, because some tasks look problems up by their place in the list. Otherwise results of single
    problems are NaN, and `notes` says so.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        name = str(config["task"])
        self._bigcode = loaded_task(name)
        self._executes = bool(self._bigcode.requires_execution)
        self._whole: Results = {}
        self._results_of: dict[int, Results] = {}
        self.notes: list[str] = []
        documents = list(loaded_problems(self._bigcode, name))
        super().__init__(
            config={
                "task": name,
                "custom_dataset": lambda **_: test_split(documents),
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_text": "{{prompt}}",
                "doc_to_target": "{{reference}}",
                "generation_kwargs": {**_GENERATION, "until": list(self._bigcode.stop_words or ())},
                "filter_list": [{"name": "results", "filter": [{"function": "custom", "filter_fn": self.judge}]}],
                "metric_list": [],
                "num_fewshot": 0,
                "unsafe_code": self._executes,
                "metadata": {"version": 0, **(config.get("metadata") or {})},
            }
        )

    def judge(self, resps: Sequence[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """Postprocess completions and call `process_results`, as a filter of lm-eval.

        Returns for each problem its samples' verdicts, or its postprocessed texts if there are no verdicts.
        """
        generations = [
            [self._bigcode.postprocess_generation(doc["prompt"] + text, doc["number"]) for text in texts]
            for texts, doc in zip(resps, docs, strict=True)
        ]
        dataset = self._bigcode.get_dataset()
        references = [self._bigcode.get_reference(dataset[doc["number"]]) for doc in docs]
        self._whole = self._results(generations, references)
        judged = [self._judged(texts, *each) for texts, *each in zip(resps, generations, references, strict=True)]
        lost = [name for name, value in self._whole.items() if self._executes and not _agree(judged, name, value)]
        self.notes = [f"{name} is known of all problems together only" for name in lost]
        for each, doc in zip(judged, docs, strict=True):
            self._results_of[doc["number"]] = {**each.results, **dict.fromkeys(lost, math.nan)}
        whole = _RATE not in lost and all(each.verdicts for each in judged)
        return [each.verdicts if whole else each.generations for each in judged]

    def _judged(self, texts: Sequence[str], generations: list[Any], reference: Any) -> _Judged:
        start = time.monotonic()
        results = self._results([generations], [reference])
        passed = self._passed(generations, reference, results.get(_RATE))
        seconds = (time.monotonic() - start) / len(generations)
        verdicts = [
            _verdict(text, program, each, seconds)
            for text, program, each in zip(texts, generations, passed, strict=bool(passed))
        ]
        return _Judged(generations, results, verdicts)

    def _passed(self, generations: list[Any], reference: Any, rate: float | None) -> list[bool]:
        """Tell which samples of a problem passed; return an empty list if that cannot be known."""
        if rate is None or not self._executes:
            return []
        if rate in (0.0, 1.0):
            return [rate == 1.0] * len(generations)
        passed = [self._results([[each]], [reference]).get(_RATE) == 1.0 for each in generations]
        return passed if math.isclose(fmean(passed), rate, abs_tol=1e-9) else []

    def _results(self, generations: list[list[Any]], references: list[Any]) -> Results:
        with own_folder(self._executes):  # it may change its arguments
            found = self._bigcode.process_results(copy.deepcopy(generations), copy.deepcopy(references))
        return {name: float(value) for name, value in found.items() if _is_number(value)}

    def process_results(self, doc: Mapping[str, Any], results: Sequence[Sequence[Any]]) -> dict[str, float]:
        """Return the results of one problem, for lm-eval."""
        found = self._results_of[doc["number"]]
        return {name: found.get(name, math.nan) for name in self._whole}

    def aggregation(self) -> dict[str, Callable[[Sequence[float]], float]]:
        """Return for each result a function that ignores its items and returns the result of all problems together."""
        return {name: lambda _, value=value: value for name, value in self._whole.items()}  # type: ignore[misc]

    def higher_is_better(self) -> dict[str, bool]:
        """Return True for every result: they are rates and scores."""
        return dict.fromkeys(self._whole, True)


def _verdict(text: str, program: Any, passed: bool, seconds: float) -> dict[str, Any]:
    status = "passed" if passed else "failed"
    return {
        "completion": text, "program": program, "status": status, "passed": passed, "detail": "", "seconds": seconds,
    }  # fmt: skip


def _agree(judged: Sequence[_Judged], name: str, whole: float) -> bool:
    found = [each.results[name] for each in judged if name in each.results]
    return len(found) == len(judged) and math.isclose(fmean(found), whole, rel_tol=1e-6, abs_tol=1e-9)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
