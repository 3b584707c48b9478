"""Says verdicts in words: one line for a candidate, and one for the candidates of one model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from qharness.results.paired_results import PASS_RATE
from qharness.results.verdict import VerdictClass
from qharness.specs import MaxLoss
from qharness.stats.candidates import JudgedCandidate, JudgedTask

_EQUALLY_FAST = 1.1  # a ratio of times that a busy machine may make
_HEADS = {
    VerdictClass.HOLDS: "{} holds",
    VerdictClass.LOSES: "{} loses",
    VerdictClass.CANNOT_TELL: "Cannot tell whether {} holds",
    VerdictClass.SAYS_NOTHING: "This says nothing of {}",
}
_CLAUSES = {
    VerdictClass.HOLDS: "it holds on {}",
    VerdictClass.LOSES: "it loses on {}",
    VerdictClass.CANNOT_TELL: "cannot tell on {}",
    VerdictClass.SAYS_NOTHING: "{} says nothing",
}


def candidate_sentence(judged: JudgedCandidate) -> str:
    """Say the verdict on a candidate, with the figures it rests on, what it saves, and what else would tell.

    A candidate that cannot be judged by pass@1 is said to have no verdict.
    """
    name, class_ = judged.candidate.name, judged.class_
    if class_ is None:
        return f"{name} has no verdict: {_without_verdict(judged)}."
    deciding = _deciding(judged)
    others = [each for each in judged.tasks if each.verdict.class_ is not class_]
    all_of = f" on all {len(deciding)} tasks" if len(deciding) > 1 and not others else ""
    figures = "; ".join(_figures(each, judged.candidate.reference) for each in deciding)
    head = f"{_HEADS[class_].format(name)}{all_of}: {figures}"
    after = [_CLAUSES[each.verdict.class_].format(f"{each.task} ({scores(each)})") for each in others]
    if class_ is VerdictClass.CANNOT_TELL:
        after.append(_would_tell(max(deciding, key=_needed)))
    return f"{'; '.join([', '.join([head, *_savings(judged)]), *after])}."


def group_sentence(judged: Sequence[JudgedCandidate]) -> str:
    """Say which of several candidates of one model is the smallest that holds, and the verdict on each other."""
    if len(judged) == 1:
        return candidate_sentence(judged[0])
    first, others = _answer(judged)
    return f"{first}; {_lists(others)}." if others else f"{first}."


def headline(judged: Sequence[JudgedCandidate]) -> str:
    """Say the same without the figures of the other candidates, which stand in a table below it."""
    if len(judged) == 1:
        return candidate_sentence(judged[0])
    first, others = _answer(judged)
    if _smallest(judged) is not None or not others:
        return f"{first}."
    return f"{first}; {_lists(others, lambda each: each.candidate.name)}."


def _answer(judged: Sequence[JudgedCandidate]) -> tuple[str, list[JudgedCandidate]]:
    """The first words on several candidates, and those of whom they do not say all."""
    best, count, classes = _smallest(judged), len(judged), {each.class_ for each in judged}
    if best is not None:
        return _best_of(best, count), [each for each in judged if each is not best]
    if VerdictClass.HOLDS in classes:
        holding = sum(each.class_ is VerdictClass.HOLDS for each in judged)
        return f"{holding} of {count} hold, and their sizes are not known", list(judged)
    if classes == {VerdictClass.LOSES}:
        return f"All {count} lose", list(judged)
    if classes != {VerdictClass.SAYS_NOTHING}:
        return f"None of {count} is shown to hold", list(judged)
    names = ", ".join(each.candidate.name for each in judged)
    whys = {_why_silent(task, each.candidate.reference) for each in judged for task in _deciding(each)}
    return f"This says nothing of any of {count}: {whys.pop() if len(whys) == 1 else names}", []


def _smallest(judged: Sequence[JudgedCandidate]) -> JudgedCandidate | None:
    """The smallest of those that hold; None where none does, or no size of them is known."""
    known = [each for each in judged if each.class_ is VerdictClass.HOLDS and each.candidate.savings.size > 0]
    return min(known, key=lambda each: each.candidate.savings.size, default=None)


def _best_of(best: JudgedCandidate, count: int) -> str:
    """The sentence on the smallest that holds, without its full stop."""
    name = best.candidate.name
    sentence = candidate_sentence(best).removesuffix(".")
    return sentence.replace(f"{name} holds", f"{name} is the smallest of {count} that holds", 1)


def _lists(judged: Sequence[JudgedCandidate], name: Callable[[JudgedCandidate], str] | None = None) -> str:
    """The candidates of each class, with their losses or as `name` says them."""
    found = []
    for class_, words in (
        (VerdictClass.HOLDS, "shown to hold"),
        (VerdictClass.CANNOT_TELL, "cannot tell"),
        (VerdictClass.SAYS_NOTHING, "this says nothing of"),
        (VerdictClass.LOSES, "shown to lose"),
        (None, "no verdict"),
    ):
        names = [(name or _with_loss)(each) for each in judged if each.class_ is class_]
        if names:
            found.append(f"{words}: {', '.join(names)}")
    return "; ".join(found)


def _deciding(judged: JudgedCandidate) -> list[JudgedTask]:
    """The tasks whose verdict is the one on all of them."""
    return [each for each in judged.tasks if each.verdict.class_ is judged.class_]


def _with_loss(judged: JudgedCandidate) -> str:
    """A candidate with the interval of its loss on the task that decides."""
    deciding = _deciding(judged)
    if not deciding or judged.class_ is VerdictClass.SAYS_NOTHING:
        return judged.candidate.name
    worst = max(deciding, key=lambda each: each.verdict.loss.estimate)
    loss = worst.verdict.loss
    on = f" on {worst.task}" if len(judged.tasks) > 1 else ""
    bound = {
        VerdictClass.HOLDS: f"at most {tenths(max(0.0, loss.upper95))}",
        VerdictClass.LOSES: f"at least {tenths(loss.lower95)}",
    }.get(worst.verdict.class_, f"{tenths(loss.lower95)} to {tenths(loss.upper95)}")
    return f"{judged.candidate.name} ({bound}{on})"


def _figures(judged: JudgedTask, reference: str) -> str:
    """Both scores, the task, and the bound that decides."""
    return f"{scores(judged)} on {judged.task}, {_bound(judged, reference)}"


def scores(judged: JudgedTask) -> str:
    """Both models' pass@1, in percent."""
    full, quantized = judged.evidence.means
    return f"{100 * full:.1f} -> {100 * quantized:.1f}% pass@1"


def _bound(judged: JudgedTask, reference: str) -> str:
    verdict, margin = judged.verdict, judged.evidence.margin
    loss, allowed = verdict.loss, f"{amount(margin.amount, margin)} allowed"
    together = f", {verdict.candidates} judged together" if verdict.candidates else ""
    match verdict.class_:
        case VerdictClass.HOLDS:
            said = "no loss" if loss.upper95 <= 0 else f"at most {_lost(loss.upper95, margin, reference)}"
            return f"{said} (95%{together})"
        case VerdictClass.LOSES:
            return f"at least {_lost(loss.lower95, margin, reference)} (95%{together}), {allowed}"
        case VerdictClass.CANNOT_TELL:
            interval = f"between {tenths(loss.lower95)} and {_lost(loss.upper95, margin, reference)}"
            return f"{interval} (95% each{together}), {allowed}"
    return _why_silent(judged, reference)


def amount(value: float, margin: MaxLoss) -> str:
    """A margin in the unit of its kind, as `2 points` or `5%`."""
    if margin.relative:
        return f"{value:g}%"
    return f"{value:g} point{'' if value == 1 else 's'}"


def tenths(value: float) -> str:
    """A number with one digit behind the point, and no minus before zero."""
    return f"{value:z.1f}"


def _lost(value: float, margin: MaxLoss, reference: str) -> str:
    return f"{tenths(value)}% of {reference}'s pass@1 lost" if margin.relative else f"{tenths(value)} points lost"


def _why_silent(judged: JudgedTask, reference: str) -> str:
    """Why the task's problems could not have shown a loss of the margin."""
    evidence, margin = judged.evidence, judged.evidence.margin
    problems, loss = _problems(evidence.n), amount(margin.amount, margin)
    if evidence.at_ceiling:
        return f"{reference} passes everything, and {problems} are too few to see a loss of {loss}"
    if evidence.means[0] > 2 * margin.fraction:
        return f"{problems} are too few to see a loss of {loss}"
    return f"{reference} passes too little to see a loss of {loss}"


def _problems(count: float) -> str:
    return f"{count:.0f} problem{_s(round(count))}"


def _would_tell(judged: JudgedTask) -> str:
    """How many more problems or samples would settle it."""
    problems, samples = judged.verdict.more_problems_needed, judged.verdict.more_samples_needed
    ways = [f"{_about(problems)} more problem{_s(problems)} like these"] if problems else []
    ways += [f"{_about(samples)} more sample{_s(samples)} of each"] if samples else []
    if not ways:
        return "the loss is so near to what is allowed that more would hardly tell"
    return f"about {' or '.join(ways)} would tell"


def _s(count: int) -> str:
    """The ending of a noun."""
    return "" if count == 1 else "s"


def _needed(judged: JudgedTask) -> float:
    """How many more problems would tell; infinitely many where none would."""
    return judged.verdict.more_problems_needed or math.inf


def _about(count: int) -> str:
    """A count with two digits that mean something."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}"


def _savings(judged: JudgedCandidate) -> list[str]:
    """What it saves, as far as that is known and worth a word."""
    saved = judged.candidate.savings
    found = []
    if abs(saved.smaller) >= 0.005:
        found.append(f"{100 * abs(saved.smaller):.0f}% {'smaller' if saved.smaller > 0 else 'larger'}")
    if saved.faster >= _EQUALLY_FAST:
        found.append(f"{saved.faster:.1f} times faster here")
    elif 0 < saved.faster <= 1 / _EQUALLY_FAST:
        found.append(f"{1 / saved.faster:.1f} times slower here")
    return found


def _without_verdict(judged: JudgedCandidate) -> str:
    metrics = dict.fromkeys(each.main_metric for _, each in judged.candidate.comparisons if not each.counts)
    if not metrics:
        return "it is compared with nothing"
    if PASS_RATE in metrics:
        return "an older version compared it, which did not count its pairs: run it again"
    return f"{', '.join(metrics)} is no pass@1, which a loss is measured in"
