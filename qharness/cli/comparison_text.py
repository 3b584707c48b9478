"""Prints the paired comparison of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qharness.cli.output import echo, interval, number, p_value, points, print_table, score

if TYPE_CHECKING:
    from qharness.results import Comparison, McNemar, PairedMeans
    from qharness.results.paired_results import Bounds, RankTests


def print_extents(comparison: Comparison) -> None:
    """Say, where two runs differ in extent, what each holds and what is compared; say nothing where they do not."""
    found = comparison.extents
    if found is None:
        return
    a, b = (f"{each.problems} problems, {each.completions} completions" for each in (found.a, found.b))
    both = f"{comparison.n_pairs} completions of {comparison.n_problems} problems"
    echo(f"These runs differ in extent: the first has {a}; the second {b}. Compared are the {both} that both have.")


def print_comparison(comparison: Comparison, full: bool = False) -> None:
    """Print a comparison's figures, a line each; with `full`, also pooled pairs, ranks and relative changes."""
    name, means, detectable = comparison.main_metric, comparison.main, comparison.detectable
    a, b = (interval(*(score(name, bound) for bound in bounds)) for bounds in (means.intervals.a, means.intervals.b))
    print_table(
        ("paired comparison", ""),
        [
            *([("prompts", f"{comparison.prompts.a} -> {comparison.prompts.b}")] if comparison.prompts else []),
            (name, f"{score(name, means.a)} -> {score(name, means.b)}"),
            ("95% intervals of these", f"{a} -> {b}"),
            ("difference", points(name, means.difference)),
            ("95% interval, by problem", _interval(name, means.ci95)),
            ("p, by problem (permutation)", p_value(comparison.clustered.p_value)),
            *(_full_rows(comparison) if full else []),
            (
                f"smallest difference this could show (level {detectable.level}, power {detectable.power})",
                points(name, comparison.smallest_detectable_difference, signed=False),
            ),
            ("problems, pairs", f"{comparison.n_problems}, {comparison.n_pairs}"),
            *_uncoupled_rows(comparison),
            *_changed_rows(comparison),
            *_robustness_rows(comparison),
            *(_means_row(each, means) for each, means in comparison.means.items() if each != name),
        ],
    )


def _interval(metric: str, bounds: Bounds) -> str:
    return interval(*(points(metric, bound) for bound in bounds))


def _means_row(name: str, means: PairedMeans) -> tuple[str, str]:
    both = f"{score(name, means.a)} -> {score(name, means.b)}"
    return name, f"{both} ({points(name, means.difference)}, {_interval(name, means.ci95)})"


def _full_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """The relative change, and tests other than the one by problem."""
    relative = ("relative change, %", number(comparison.main.relative_change, "+.2f"))
    return [relative, *_pooled_rows(comparison.paper), *_rank_rows(comparison.ranks)]


def _pooled_rows(paper: McNemar | None) -> list[tuple[str, str]]:
    """Of passes and failures; texts with a score have none."""
    if paper is None:
        return []
    return [
        ("p, pooled pairs (exact McNemar)", p_value(paper.p_value)),
        ("passed in the first only / second only", f"{paper.b} / {paper.c}"),
        ("odds ratio of these", number(paper.odds_ratio, ".2f")),
    ]


def _rank_rows(ranks: RankTests | None) -> list[tuple[str, str]]:
    if ranks is None:
        return []
    return [
        ("p, ranks of problems, paired (Wilcoxon)", p_value(ranks.wilcoxon)),
        ("p, ranks of problems, unrelated (Mann-Whitney)", p_value(ranks.mann_whitney)),
    ]


def _uncoupled_rows(comparison: Comparison) -> list[tuple[str, str]]:
    if comparison.coupled:
        return []
    return [("coupled by common random numbers", "no: the intervals hold the noise of both runs' draws")]


def _changed_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Of programs; texts are not lost or won."""
    if comparison.lost is None or comparison.won is None:
        return []
    return [("problems lost / won", f"{len(comparison.lost)} / {len(comparison.won)}")]


def _robustness_rows(comparison: Comparison) -> list[tuple[str, str]]:
    found = comparison.robustness
    if found is None:
        return []
    return [
        (f"drop in {comparison.main_metric}, %", number(found.drop_percent, "+.2f")),
        ("problems broken / mended", f"{len(found.broken)} / {len(found.mended)}"),
    ]
