"""A run's results: the record in its run.json, the lines of its samples.jsonl, and what `run` and `score` return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from qharness.errors import SamplesError
from qharness.results.paired_results import Comparison
from qharness.results.timings import Timings
from qharness.results.verdict import LossVerdict
from qharness.specs import RunSpec, TaskName
from qharness.storage.json_codec import LEFT_OUT, SPLICED, Figure, JsonRecord, Splicing, decode
from qharness.storage.json_values import JsonObject, defined


@dataclass(frozen=True)
class Metric:
    """A task's main metric. `unit`: what its values are, as `ratio` or `percent`; empty where nothing says it."""

    name: str
    higher_is_better: bool = True
    unit: str = ""


@dataclass(frozen=True)
class Versions(Splicing):
    """Versions of Python packages, of what ran programs, by language, and of packages that programs may import.

    `sandbox`: the version of bubblewrap, and where it was found; None of runs without it or without programs.
    """

    python: Mapping[str, str | None] = field(default_factory=dict, metadata=SPLICED)
    toolchains: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] | None = field(default=None, metadata=LEFT_OUT)
    sandbox: str | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class Machine:
    """The machine: its platform as Python names it, the device and the dtype of the model; None of a server's model."""

    platform: str = ""
    device: str | None = ""
    dtype: str | None = ""


@dataclass(frozen=True)
class DataFile:
    """A file of a benchmark that was read, and its SHA-256 in hexadecimal."""

    file: str
    sha256: str


@dataclass(frozen=True)
class HostingRecord:
    """Bytes and parameters of the model; None where unknown.

    `weight_bytes`: of the weights in memory; `resident_bytes`: with what was unpacked from them to run faster;
    `storage_bytes`: of the checkpoint as it would be written; `packed_bytes`: the same with codes packed to their true
    bits, of a quantizer that simulates; `layers`: quantized layers by the kernel that ran them.
    """

    resident_bytes: int | None = None
    weight_bytes: int | None = None
    storage_bytes: int | None = None
    parameters: int | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    packed_bytes: int | None = field(default=None, metadata=LEFT_OUT)

    @property
    def megabytes(self) -> float:
        """Of the weights in memory, without what was unpacked from them; NaN where unknown."""
        found = self.resident_bytes if self.weight_bytes is None else self.weight_bytes
        return defined(found) / 1e6


@dataclass(frozen=True)
class Usage:
    """The tokens that a server counted for a run's completions, and US dollars, where it gives a price.

    `completions`: how many these are of. Of a run that was interrupted, they are those since it was resumed.
    """

    completions: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class Batches:
    """The batch size, and the (document, sample) pairs of each batch where results depend on what shares a batch."""

    size: int | None = None
    rows: list[list[tuple[int, int]]] | None = None


NOTED_SHARE = 0.10
"""A larger share of the blocks that stays in full precision is noted on the terminal."""


@dataclass(frozen=True)
class UntouchedShare:
    """The share of the blocks' parameters that stayed in full precision, 0 to 1, in all and by module."""

    share: float
    modules: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord(JsonRecord):
    """The record of a finished run. Fields that an old document lacks have defaults; `spec.task` is then empty.

    `schema`: the version of the document's form, which docs/schema describes. `metrics`: by task, the run's own first.
    `metric`: the main one, as the task declares it. `isolation`: how programs were run. `executed`: how many verdicts
    came from `isolated` and `in-process` tests. `quantization`: the quantizer's log. `usage`: the tokens that a server
    counted. `generation`: lm-eval's generation settings by task. `chat`: whether prompts went through the chat
    template. `baseline`: the comparison with the baseline. `coupled`: whether completions were drawn from our
    counter-based noise; records of before this field were, but on vLLM. `verdict`: whether the loss is within the
    margin; of runs of programs that were compared.
    """

    spec: RunSpec = field(default_factory=lambda: RunSpec(""))
    schema: int = 1
    chat: bool = False
    metrics: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    metric: Metric | None = field(default=None, metadata=LEFT_OUT)
    seeds: Mapping[str, int] = field(default_factory=dict)
    versions: Versions = Versions()
    machine: Machine = Machine()
    data: Sequence[DataFile] = ()
    hosting: HostingRecord = HostingRecord()
    timings: Timings = field(default_factory=Timings)
    usage: Usage | None = field(default=None, metadata=LEFT_OUT)
    isolation: str | None = None
    executed: Mapping[str, int] | None = field(default=None, metadata=LEFT_OUT)
    batches: Batches = Batches()
    coupled: bool = True
    quantization: Sequence[str] = ()
    untouched: UntouchedShare | None = field(default=None, metadata=LEFT_OUT)
    generation: Mapping[str, JsonObject | None] = field(default_factory=dict)
    notes: Sequence[str] = ()
    baseline: Comparison | None = field(default=None, metadata=LEFT_OUT)
    verdict: LossVerdict | None = field(default=None, metadata=LEFT_OUT)

    def __post_init__(self) -> None:
        object.__setattr__(self, "coupled", self.coupled and self.spec.backend != "vllm")

    @property
    def noise(self) -> int | None:
        """The seed of our noise that completions were drawn from, 0 of greedy ones; None of other backends' draws."""
        return None if not self.coupled else 0 if self.spec.temperature == 0 else self.spec.seed

    @property
    def own_metrics(self) -> Mapping[str, float]:
        """The metrics of the run's task, by name; undefined ones are NaN."""
        return self.metrics.get(self.spec.task, {})

    @property
    def main_metric(self) -> Metric | None:
        """The metric that the task declares; of older runs the first one, None where there is none."""
        return self.metric or next((Metric(name) for name in self.own_metrics), None)

    @property
    def main_metric_name(self) -> str | None:
        """That metric's name."""
        return self.main_metric.name if self.main_metric else None


@dataclass(frozen=True)
class SampleRow:
    """A line of samples.jsonl: one completion and what became of it.

    `level`: the problem's difficulty, where the benchmark has levels. `tests`: those of its programs, in the row of its
    first sample; the beginning of long ones. `solution`: the code in an answer. `program`: of
    tasks that run programs themselves. Programs that were run have `status`, `passed`, `detail`, `seconds` and
    `in_process`, and `stages` where cases judged them: those that they passed; texts have their document's `metrics`
    and `reference` instead.
    """

    task: str = ""
    doc_id: int = 0
    task_id: str | int | None = None
    seed: int | None = None
    prompt_sha: str | None = None
    prompt: str | None = None
    level: object = field(default=None, metadata=LEFT_OUT)
    tests: str | None = field(default=None, metadata=LEFT_OUT)
    sample: int = 0
    completion: str = ""
    solution: str | None = field(default=None, metadata=LEFT_OUT)
    program: object = field(default=None, metadata=LEFT_OUT)
    status: str | None = None
    passed: bool | None = None
    detail: str | None = field(default=None, metadata=LEFT_OUT)
    seconds: float | None = None
    in_process: bool | None = field(default=None, metadata=LEFT_OUT)
    stages: Sequence[str] | None = field(default=None, metadata=LEFT_OUT)
    metrics: Mapping[str, object] | None = field(default=None, metadata=LEFT_OUT)
    reference: object = field(default=None, metadata=LEFT_OUT)

    @classmethod
    def of_documents(cls, documents: Sequence[JsonObject], place: str | Path) -> list[SampleRow]:
        """Read the lines of a samples.jsonl. Raises SamplesError, naming the place, for another shape."""
        return decode(list[SampleRow], documents, SamplesError, str(place))

    @property
    def base_task(self) -> str:
        """The task, without its perturbations."""
        return _base_task(self.task)

    @property
    def scores(self) -> Mapping[str, float]:
        """The metrics that are defined, by name."""
        return {name: value for name, value in (self.metrics or {}).items() if isinstance(value, int | float)}

    @property
    def is_text(self) -> bool:
        """Whether this is a text with a score, and not a program's verdict."""
        return self.status is None and bool(self.scores)


@cache
def _base_task(task: str) -> str:
    """A task's name without its perturbations, which is asked of every row."""
    return TaskName.of(task).base


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, the document in its run.json, and the run that it was compared with, if any."""

    folder: Path
    document: JsonObject
    baseline: RunResult | None = None

    @cached_property
    def record(self) -> RunRecord:
        """The document, typed."""
        return RunRecord.of_document(self.document, self.folder)

    @property
    def metrics(self) -> dict[str, float]:
        """The task's metrics, by name; undefined ones are NaN."""
        return dict(self.record.own_metrics)


@dataclass(frozen=True)
class ScoreReport(Splicing, JsonRecord):
    """What `score` found. `rates`: pass@k over problems, by name; `status`: how many completions ended in each way.

    `executed`: how many verdicts came from `isolated` and `in-process` tests; `cached`: how many were known before.
    """

    task: str
    n_problems: int
    n_samples: int
    passed: int
    rates: Mapping[str, float] = field(metadata=SPLICED)
    status: Mapping[str, int]
    seconds: float
    isolation: str
    executed: Mapping[str, int]
    cached: int


@dataclass(frozen=True)
class ScoreResult:
    """What `score` returns: its report, and the lines of the samples file with status, passed and seconds."""

    report: ScoreReport
    samples: list[JsonObject]

    @property
    def document(self) -> JsonObject:
        """The report, for JSON."""
        return self.report.document
