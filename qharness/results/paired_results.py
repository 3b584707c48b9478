"""A comparison of two runs, completion by completion: what `compare` finds and run.json's `baseline` holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qharness.storage.json_codec import LEFT_OUT, SPLICED, Figure, JsonRecord, Splicing

Bounds = tuple[Figure, Figure]
"""A 95% interval, low and high; NaN where undefined."""
UNBOUNDED = (math.nan, math.nan)
PASS_RATE = "pass@1"  # noqa: S105 - a metric's name
"""The metric of runs of programs, which are compared by their passes: a problem's share of passing completions."""


@dataclass(frozen=True)
class Intervals:
    """95% intervals of the two runs' own means."""

    a: Bounds = UNBOUNDED
    b: Bounds = UNBOUNDED


@dataclass(frozen=True)
class PairedMeans:
    """One metric in both runs: means over problems, and their difference, b less a, with its 95% interval.

    `relative_change`: in percent of `a`.
    """

    a: Figure
    b: Figure
    difference: Figure
    ci95: Bounds = UNBOUNDED
    relative_change: Figure = math.nan
    intervals: Intervals = Intervals()


@dataclass(frozen=True)
class McNemar:
    """The exact McNemar test of pooled pairs: `b` passed in the first run only, `c` in the second only.

    `odds_ratio` is b / c: infinite for c = 0 alone, NaN where there are no discordant pairs. Above 1, the first run
    passes more often.
    """

    p_value: Figure
    odds_ratio: float = field(init=False)
    b: int
    c: int

    def __post_init__(self) -> None:
        ratio = self.b / self.c if self.c else math.inf if self.b else math.nan
        object.__setattr__(self, "odds_ratio", ratio)


@dataclass(frozen=True)
class Clustered:
    """A permutation p-value and a bootstrap interval of the mean difference; the clusters are the problems."""

    p_value: Figure
    ci95: Bounds = UNBOUNDED


@dataclass(frozen=True)
class RankTests:
    """Two-sided p-values: `mann_whitney` takes the two runs' problems as unrelated, `wilcoxon` as pairs."""

    mann_whitney: Figure
    wilcoxon: Figure


@dataclass(frozen=True)
class Detectable:
    """The significance level and the power that a smallest detectable difference is meant for."""

    level: float = 0.05
    power: float = 0.8


@dataclass(frozen=True)
class Failures:
    """How many completions ended in which way, by kind: in each run, and in `b` of the pairs that only `a` passed."""

    a: Mapping[str, int]
    b: Mapping[str, int]
    lost_pairs: Mapping[str, int]


@dataclass(frozen=True)
class LevelComparison:
    """One level of difficulty: both runs' mean pass rates, and how many pairs passed in one run only."""

    n_problems: int
    n_samples: int
    a: Figure
    b: Figure
    lost_pairs: int
    won_pairs: int


@dataclass(frozen=True)
class ChangedProblem:
    """A problem whose pass rate differs: `a` and `b` are the rates in the two runs."""

    task: str
    doc_id: int
    task_id: str | int | None
    a: float
    b: float


@dataclass(frozen=True)
class ShownProgram(Splicing):
    """One run's side of an example: the problem's pass rate, by the metric's name, and one completion's verdict."""

    score: Mapping[str, float] = field(metadata=SPLICED)
    sample: int
    completion: str
    status: str | None
    detail: str | None


@dataclass(frozen=True)
class ShownText(Splicing):
    """One run's side of an example: a text, and its score by the metric's name."""

    completion: str
    score: Mapping[str, float] = field(metadata=SPLICED)


@dataclass(frozen=True)
class Example:
    """A problem with a completion of each run. `reference`: of texts."""

    task: str
    doc_id: int
    task_id: str | int | None
    prompt: str | None
    reference: object = field(metadata=LEFT_OUT)
    a: ShownProgram | ShownText
    b: ShownProgram | ShownText


@dataclass(frozen=True)
class PairedCounts:
    """How many pairs of a problem passed in both runs, in `a` only, in `b` only and in neither.

    `problems`: how many problems have these counts.
    """

    both: int
    a_only: int
    b_only: int
    neither: int
    problems: int


@dataclass(frozen=True)
class ProblemId:
    """A problem: its task, without perturbations, and the number of its document."""

    task: str
    doc_id: int


@dataclass(frozen=True)
class PerturbationCost:
    """What the second run's perturbation costs: the drop of the pass rate in percent, and the problems it flips."""

    drop_percent: Figure
    broken: Sequence[ProblemId]
    mended: Sequence[ProblemId]


@dataclass(frozen=True)
class ComparedExtent:
    """How much a run holds: its problems, and its completions of them."""

    problems: int
    completions: int


@dataclass(frozen=True)
class ComparedExtents:
    """How much two runs hold, where one has completions that the other lacks."""

    a: ComparedExtent
    b: ComparedExtent


@dataclass(frozen=True)
class PromptForms:
    """The forms of two runs' prompts, as `RunSpec.prompting` says them."""

    a: str
    b: str


@dataclass(frozen=True)
class Comparison(Splicing, JsonRecord):
    """What `compare` found of run folder `b` against run folder `a`; undefined figures are NaN.

    `prompts`: where the two were asked differently, as a chat and not. `extents`: where one has completions that the
    other lacks, which are left out. `metric`: the score that texts are compared by;
    None of programs. `means`: by the metric's name, the main one first. `coupled`: whether the two runs drew with
    common random numbers. Of texts: `n_different`, the problems whose texts differ. Of programs: the rest that is None
    otherwise.
    """

    a: str = ""
    b: str = ""
    prompts: PromptForms | None = field(default=None, metadata=LEFT_OUT)
    extents: ComparedExtents | None = field(default=None, metadata=LEFT_OUT)
    metric: str | None = field(default=None, metadata=LEFT_OUT)
    n_problems: int = 0
    n_pairs: int = 0
    coupled: bool = True
    n_different: int | None = field(default=None, metadata=LEFT_OUT)
    means: Mapping[str, PairedMeans] = field(default_factory=dict, metadata=SPLICED)
    paper: McNemar | None = field(default=None, metadata=LEFT_OUT)
    clustered: Clustered = Clustered(math.nan)
    ranks: RankTests | None = field(default=None, metadata=LEFT_OUT)
    smallest_detectable_difference: Figure = math.nan
    detectable: Detectable = Detectable()
    failures: Failures | None = field(default=None, metadata=LEFT_OUT)
    levels: Mapping[str, LevelComparison] | None = field(default=None, metadata=LEFT_OUT)
    lost: Sequence[ChangedProblem] | None = field(default=None, metadata=LEFT_OUT)
    won: Sequence[ChangedProblem] | None = field(default=None, metadata=LEFT_OUT)
    examples: Sequence[Example] | None = field(default=None, metadata=LEFT_OUT)
    robustness: PerturbationCost | None = field(default=None, metadata=LEFT_OUT)
    counts: Sequence[PairedCounts] | None = field(default=None, metadata=LEFT_OUT)

    @classmethod
    def is_spliced(cls, value: object) -> bool:
        """Whether an item of a document is a metric's means."""
        return isinstance(value, dict) and value.keys() >= {"a", "b", "difference"}

    @property
    def main_metric(self) -> str:
        """The name of the metric that the runs are compared by."""
        return self.metric or PASS_RATE

    @property
    def main(self) -> PairedMeans:
        """That metric's means and their difference."""
        return self.means[self.main_metric]
