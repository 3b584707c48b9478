"""How often a search for the smallest model that holds is wrong, and what it saves, where the losses are known.

    python benchmarks/choose_errors.py [--size 161x20] [--max-loss 2] [--searches 10000] [--savings 400] [--seed 0]
    python benchmarks/choose_errors.py --report 4000 [--size 161x20] [--max-loss 2]

Full precision and the candidates are drawn as in verdict_errors.py, and then some pairs are changed at random, so that
the mean loss on the benchmark's own problems and samples is exactly what it should be: that is what a search judges.
First, searches over four candidates which all lose one pair more than the margin: how often is any accepted? Then, for
one candidate and for several, how many times fewer programs a search takes than running everything; medians.

With --report: searches over one candidate whose loss is the margin on problems like these, and how often `report`,
which judges the pairs that the search used as if their number had been fixed, says that it holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from verdict_errors import WAYS, Size, draw, evidence, percent

from qharness.evaluate.run.drawing_order import drawing_order
from qharness.results.verdict import VerdictClass
from qharness.specs import MaxLoss
from qharness.stats.intervals import LEVEL
from qharness.stats.sequential_verdict import SequentialRule

CANDIDATES = 4
LOSSES = (0.0, 0.01, 0.05, 0.2)
TYPICAL = (0.2, 0.05, 0.0, 0.0)  # of candidates, smallest first


def losses_of(size: Size, way: str, loss: float, extra: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The losses of all pairs, float64 [pairs]: together `loss` times their number, rounded down, and `extra`."""
    first, second = (passed.ravel() for passed in draw(size, way, loss, rng))
    short = int(loss * len(first) + 1e-9) + extra - int(first.sum() - second.sum())
    changed = np.flatnonzero(second if short > 0 else ~second)
    chosen = rng.choice(changed, size=abs(short), replace=False)
    second[chosen] = short < 0
    return first.astype(np.float64) - second


def search(candidates: Sequence[NDArray[np.float64]], size: Size, margin: float, seed: int) -> tuple[int | None, int]:
    """The place of the candidate that is accepted, None for none, and how many programs were run."""
    order = drawing_order(size.problems, size.samples, seed)
    level = LEVEL / len(candidates)
    rule = SequentialRule(len(order), margin, level, level)
    programs, baseline = 0, 0
    for place, losses in enumerate(candidates):
        stop = rule.judge(losses[order])
        programs, baseline = programs + stop.pairs, max(baseline, stop.pairs)
        if stop.verdict is VerdictClass.HOLDS:
            return place, programs + baseline
    return None, programs + baseline


def errors(size: Size, way: str, margin: float, searches: int, rng: np.random.Generator) -> float:
    """The share of searches that accept a candidate, all of which lose a pair more than the margin."""
    accepted = 0
    for seed in range(searches):
        candidates = [losses_of(size, way, margin, 1, rng) for _ in range(CANDIDATES)]
        accepted += search(candidates, size, margin, seed)[0] is not None
    return accepted / searches


def reported(size: Size, way: str, margin: MaxLoss, searches: int, rng: np.random.Generator) -> float:
    """The share of searches after which `report` says holds, of a candidate whose true loss is the margin."""
    held = 0
    for seed in range(searches):
        first, second = draw(size, way, margin.fraction, rng)
        order = drawing_order(size.problems, size.samples, seed)
        losses = (first.astype(np.float64) - second).ravel()[order]
        used = np.zeros(size.problems * size.samples, dtype=bool)
        used[order[: SequentialRule(len(order), margin.fraction, LEVEL, LEVEL).judge(losses).pairs]] = True
        drawn = used.reshape(first.shape)
        found = evidence(first, second, margin, drawn)
        held += found.p_holds() <= LEVEL and not found.silent
    return held / searches


def saved(
    size: Size, way: str, losses: Sequence[float], margin: float, searches: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How many times fewer programs each search took than running everything: float64 [searches]."""
    everything = (1 + len(losses)) * size.problems * size.samples
    return np.array(
        [
            everything / search([losses_of(size, way, loss, 0, rng) for loss in losses], size, margin, seed)[1]
            for seed in range(searches)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=Size.parse, default=Size(161, 20))
    parser.add_argument("--max-loss", type=float, default=2.0)
    parser.add_argument("--searches", type=int, default=10_000)
    parser.add_argument("--savings", type=int, default=400, help="searches for each figure of what is saved")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=int, metavar="N", help="what report says after N searches, and nothing else")
    options = parser.parse_args()
    rng, margin, size = np.random.default_rng(options.seed), options.max_loss / 100, options.size
    if options.report:
        for way in WAYS:
            share = reported(size, way, MaxLoss(options.max_loss), options.report, rng)
            print(
                f"{way}: report says holds after {percent(share, options.report)} of {options.report} searches",
                flush=True,
            )
        return
    headings = [f"one, loss {100 * loss:g}" for loss in LOSSES] + [
        f"{len(TYPICAL)}, {' '.join(f'{100 * x:g}' for x in TYPICAL)}"
    ]
    print(f"| loss | accepted, of {options.searches} | {' | '.join(headings)} |\n{'|---' * (len(headings) + 2)}|")
    for way in WAYS:
        wrong = percent(errors(size, way, margin, options.searches, rng), options.searches) if options.searches else "-"
        groups = [(loss,) for loss in LOSSES] + [TYPICAL]
        medians = [np.median(saved(size, way, losses, margin, options.savings, rng)) for losses in groups]
        print(f"| {way} | {wrong} | {' | '.join(f'{median:.1f}x' for median in medians)} |", flush=True)


if __name__ == "__main__":
    main()
