"""Facts of single EvalPlus problems that their files in the originals' form do not hold.

They are of EvalPlus's own form of the same releases (`HumanEvalPlus.jsonl`, `MbppPlus.jsonl`), which splits the inputs
and names a tolerance, and of its evaluator 0.3.1, which judges some problems in ways of their own.
"""

from __future__ import annotations

# ruff: noqa: SIM905
BASE_INPUTS = tuple(
    int(count)
    for count in """
    7 4 3 6 3 3 3 4 5 4 5 3 3 4 3 3 5 5 4 5 5 5 3 3 5 8 3 3 3 2 4 12 99 7 1 2 8 3 100 10 9 5 3 9 12 3 4 5 7
    7 100 7 6 105 7 5 12 8 4 5 5 12 5 7 7 5 8 7 8 25 9 9 6 8 9 4 10 9 7 4 8 6 16 5 5 4 7 6 7 8 6 6 10 5 9 7
    10 8 7 5 5 6 8 12 4 5 4 8 8 5 7 7 9 3 12 5 7 7 13 12 11 7 5 4 16 8 13 8 8 10 10 7 14 12 10 5 11 8 8 4 5
    26 11 7 12 6 7 4 7 7 10 7 4 9 6 8 14 11 10 6 3 8 4 4
    """.split()
)
"""How many of the first inputs are HumanEval's own, by the problem's number."""
MBPP_BASE_INPUTS = {
    **dict.fromkeys((58, 162, 226, 721, 723, 724, 725, 726, 730, 752, 754, 755, 758, 764, 766, 767), 4),
    **dict.fromkeys((773, 780, 785, 787, 791, 800), 4),
    **dict.fromkeys((3, 172, 735, 759), 5),
    **dict.fromkeys((6, 799, 803), 6),
}
"""How many of the first inputs are MBPP's own, by the problem's number; of all other problems, 3."""
_HUNDRED_THOUSANDTHS = (82, 85, 98, 120, 124, 137, 139, 233, 276, 293, 300, 312, 742)
TOLERANCES = {
    "HumanEval/2": 1e-6,
    "HumanEval/4": 1e-6,
    **{f"Mbpp/{number}": 1e-4 for number in _HUNDRED_THOUSANDTHS},
}
"""The absolute tolerances of numbers; of all other problems 0."""
CALL_SECONDS = {"Mbpp/599": 6.0, "Mbpp/255": 6.0}
"""CPU seconds that one call may take, where the canonical solution takes more than a tenth of the usual limit."""
LEFT_OUT = {"Mbpp/255": (88,)}
"""Numbers of inputs that are left out: whose output no program can hold in the memory that it gets."""
UNTOLD = frozenset(("HumanEval/32",))
"""Problems with many right outputs: what the canonical solution returns is not compared."""

_AS_SETS = "def same(arguments, output, expected):\n    return set(output) == set(expected)\n"
_A_MATCH = """
def same(arguments, output, expected):
    return output == expected if isinstance(output, bool) else expected == (output is not None)
"""
SAME = {
    # A root of the polynomial with these coefficients.
    "HumanEval/32": """
def same(arguments, output, expected):
    (coefficients,) = arguments
    return abs(sum(each * pow(output, power) for power, each in enumerate(coefficients))) <= 1e-4
""",
    **{f"Mbpp/{number}": _AS_SETS for number in (2, 7, 111, 140, 232, 579, 769)},
    **{f"Mbpp/{number}": _A_MATCH for number in (737, 787, 794)},
    # The text leaves open what is done with numbers of different lengths: they may be padded with zeros too.
    "Mbpp/558": """
def same(arguments, output, expected):
    a, b = map(str, arguments)
    width = max(len(a), len(b))
    return output in (expected, sum(abs(int(x) - int(y)) for x, y in zip(a.zfill(width), b.zfill(width))))
""",
    # The text leaves open what the height is: the slant height or the pyramid's own.
    "Mbpp/581": """
def same(arguments, output, expected):
    edge, height = arguments
    slant = ((edge / 2) ** 2 + height**2) ** 0.5
    return output == expected or output == round(edge**2 + 2 * edge * slant)
""",
}
"""What is asked in place of equality, as Python source."""
