"""Right, wrong and tricky completions of one problem, to compare two evaluators on."""

from __future__ import annotations

import random

_CHANGES = (
    ("<=", "<"), ("==", "!="), (" < ", " >= "), (" > ", " <= "), (" + ", " - "), ("True", "False"), ("False", "True"),
    ("range(", "range(1 + "), ("[0]", "[-1]"), ("return ", "return not "), (" not ", " "), ("0", "1"), ("1", "2"),
)  # fmt: skip
_TRICKY = (
    "    import sys\n    sys.exit(0)\n",
    "    import os\n    os._exit(0)\n",
    "    raise SystemExit\n",
    "    while True:\n        pass\n",
    "    return (\n",
    "    pass\n",
    "",
    "    class Equal:\n        def __eq__(self, other):\n            return False\n    return Equal()\n",
    "    print('x' * 100000)\n    return None\n",
    "    raise KeyboardInterrupt\n",
    "    def again(n):\n        return again(n + 1)\n    return again(0)\n",
    "    import threading\n    threading.Thread(target=print).start()\n    return 1\n",
    "    return open('/no/such/file')\n",
    "    global check\n    return None\n",
    "    '''Ends nowhere\n",
    "    return input()\n",
    "\treturn 1\n        return 2\n",
    "    assert True\n    return float('nan')\n",
)


def mixed(canonical: str, number: int) -> list[str]:
    """Three completions: the canonical one, one with a change in it, and one that tries to end or break its tests.

    `number` is the problem's: it seeds the change and chooses the trick. Programs that end their process before the
    tests, or never end, come once in 18 problems each.
    """
    rng = random.Random(number)
    changes = [(old, new) for old, new in _CHANGES if old in canonical]
    old, new = rng.choice(changes) if changes else ("return", "return 1 if")
    places = [place for place in range(len(canonical)) if canonical.startswith(old, place)]
    place = rng.choice(places) if places else 0
    changed = canonical[:place] + canonical[place:].replace(old, new, 1)
    return [canonical, changed, _TRICKY[number % len(_TRICKY)]]
