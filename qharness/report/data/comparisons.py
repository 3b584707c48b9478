"""Comparisons of the runs of a table, with p-values adjusted over that table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.results import McNemar
from qharness.stats.adjustment import Compared, ComparedBy, adjust
from qharness.storage.json_values import defined


@dataclass(frozen=True)
class Judged:
    """A run compared with another: the document of `compare`, that other as `a`, and the adjusted pooled p-value."""

    document: dict[str, Any]
    adjusted: float

    @property
    def clustered(self) -> float:
        """The p-value by problem."""
        return defined(self.document["clustered"]["p_value"])

    @property
    def odds_ratio(self) -> float:
        """b / c, from the counts, for JSON has no infinity: above 1, the other run is better."""
        return McNemar(math.nan, self.document["paper"]["b"], self.document["paper"]["c"]).odds_ratio

    @property
    def rates(self) -> tuple[float, float]:
        """pass@1 of the other run and of this one."""
        return self.document[PASS]["a"], self.document[PASS]["b"]


def judge(
    collection: Collection, pairs: Iterable[tuple[FinishedRun, FinishedRun | None]], kind: ComparedBy
) -> dict[FinishedRun, Judged]:
    """Each run of programs, compared with the other of its pair; with full precision, where that is None.

    Those that have nothing to be compared with are left out.
    """
    documents: dict[FinishedRun, dict[str, Any]] = {}
    for entry, other in pairs:
        document = collection.compare(other, entry) if other else collection.comparison(entry)
        if document is not None:
            documents[entry] = document
    items = [(_compared(collection, e, kind).family, defined(d["paper"]["p_value"])) for e, d in documents.items()]
    return {
        entry: Judged(document, adjusted)
        for (entry, document), adjusted in zip(documents.items(), adjust(items), strict=True)
    }


def _compared(collection: Collection, entry: FinishedRun, kind: ComparedBy) -> Compared:
    quant = entry.checkpoint or entry.quant
    return Compared(kind, collection.labels.model(entry), entry.language, quant)
