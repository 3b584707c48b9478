"""What the elements become."""

from __future__ import annotations

from tinycoder.steps import JAVA_BOXES, Argument, Sink

NAMES = {"int": "ints", "word": "words"}
LONGS = ".mapToLong(Long::longValue)"
AT_LEAST = Argument("int", 1, 3, ("k", "least", "minimum", "need"))
GLUE = Argument("letter", names=("glue", "separator", "sep"))


def _best(name: str, python: str, sign: str, np: tuple[str, ...]) -> Sink:
    return Sink(
        name, "int", "int", np,
        (f"^$best = None\nif $best is None or $x {sign} $best:\n    $best = $x\n=$best if $best is not None else 0",
         f"^$best = 0\n^$found = False\nif not $found or $x {sign} $best:\n    $best = $x\n    $found = True\n=$best"),
        (f"^Long $best = null;\nif ($best == null || $x {sign} $best) {{\n    $best = $x;\n}}\n"
             f"=$best == null ? 0 : $best",
         f"^long $best = 0;\n^boolean $found = false;\nif (!$found || $x {sign} $best) {{\n    $best = $x;\n"
         f"    $found = true;\n}}\n=$best"),
        (f"{python}($s, default=0)", f"{python}($s) if $s else 0"), (f"{LONGS}.{python}().orElse(0)",),
    )  # fmt: skip


def _listed(kind: str) -> tuple[Sink, ...]:
    box, gives = JAVA_BOXES[kind], NAMES[kind]
    python, java = "^$out = []\n$out.append($x)\n", f"^ArrayList<{box}> $out = new ArrayList<>();\n$out.add($x);\n"
    collect = ".collect(Collectors.toCollection(ArrayList::new))"
    return (
        Sink(f"list_{kind}", kind, gives, ("the list of $np", "a list with $np", "$np as a list"),
             (python + "=$out",), (java + "=$out",), ("$s",), (collect,), ordered=True),
        Sink(f"sorted_{kind}", kind, gives, ("the sorted list of $np", "$np in ascending order",
             "a list of $np, smallest first"),
             (python + "=sorted($out)",), (java + ">Collections.sort($out);\n=$out",), ("sorted($s)",),
             (".sorted()" + collect,)),
        Sink(f"descending_{kind}", kind, gives, ("the list of $np from largest to smallest", "$np in descending order"),
             (python + "=sorted($out, reverse=True)",), (java + ">$out.sort(Collections.reverseOrder());\n=$out",),
             ("sorted($s, reverse=True)",), (".sorted(Collections.reverseOrder())" + collect,)),
        Sink(f"reversed_{kind}", kind, gives, ("the list of $np in reverse order", "$np as a list, last one first"),
             (python + "=$out[::-1]", "^$out = []\n$out.insert(0, $x)\n=$out"),
             (java + ">Collections.reverse($out);\n=$out", f"^ArrayList<{box}> $out = new ArrayList<>();\n"
             f"$out.add(0, $x);\n=$out"),
             ordered=True),
    )  # fmt: skip


def _counts(kind: str) -> tuple[Sink, ...]:
    box = JAVA_BOXES[kind]
    return (
        Sink(f"count_{kind}", kind, "int", ("the number of $np", "how many there are of $np", "the count of $np"),
             ("^$total = 0\n$total += 1\n=$total",), ("^long $total = 0;\n$total++;\n=$total",
             "^long $total = 0;\n$total += 1;\n=$total"), ("len($s)",), (".count()",)),
        Sink(f"different_{kind}", kind, "int", ("the number of different values among $np",
             "how many distinct values there are among $np"),
             ("^$seen = set()\n$seen.add($x)\n=len($seen)",),
             (f"^Set<{box}> $seen = new HashSet<>();\n$seen.add($x);\n=(long) $seen.size()",), ("len(set($s))",),
             (".distinct().count()",)),
        Sink(f"enough_{kind}", kind, "bool", ("whether there are at least $k of $np", "whether $np number $k or more"),
             ("^$total = 0\n$total += 1\n=$total >= $k",), ("^long $total = 0;\n$total++;\n=$total >= $k",),
             ("len($s) >= $k",), (".count() >= $k",), AT_LEAST),
    )  # fmt: skip


INTS = (
    Sink("sum", "int", "int", ("the sum of $np", "the total of $np", "what $np add up to"),
         ("^$total = 0\n$total += $x\n=$total",), ("^long $total = 0;\n$total += $x;\n=$total",), ("sum($s)",),
         (f"{LONGS}.sum()",)),
    Sink("product", "int", "int", ("the product of $np", "what one gets by multiplying $np together"),
         ("^$total = 1\n$total *= $x\n=$total",), ("^long $total = 1;\n$total *= $x;\n=$total",), (),
         (".reduce(1L, (a, b) -> a * b)",), small=True),
    _best("largest", "max", ">", ("the largest of $np (0 if there is none)",
         "the maximum of $np, or 0 if there are none")),
    _best("smallest", "min", "<", ("the smallest of $np (0 if there is none)",
         "the minimum of $np, or 0 if there are none")),
    Sink("signed", "int", "int", ("the alternating sum of $np, the first one counted positive",
         "the first minus the second plus the third and so on of $np"),
         ("^$total = 0\n^$sign = 1\n$total += $sign * $x\n$sign = -$sign\n=$total",),
         ("^long $total = 0;\n^long $sign = 1;\n$total += $sign * $x;\n$sign = -$sign;\n=$total",), ordered=True),
    Sink("spread", "int", "int", ("the largest minus the smallest of $np (0 if there is none)",
         "the spread between the extremes of $np, 0 without any"),
         ("^$low = None\n^$high = None\nif $low is None or $x < $low:\n    $low = $x\n"
         "if $high is None or $x > $high:\n    $high = $x\n=0 if $low is None else $high - $low",),
         ("^Long $low = null;\n^Long $high = null;\nif ($low == null || $x < $low) {\n    $low = $x;\n}\n"
         "if ($high == null || $x > $high) {\n    $high = $x;\n}\n=$low == null ? 0 : $high - $low",),
         ("max($s) - min($s) if $s else 0",)),
    Sink("first", "int", "int", ("the first of $np, or -1 if there is none",
         "the first one among $np (-1 without any)"),
         ("return $x\n=-1",), ("return $x;\n=-1",), ("next(iter($s), -1)", "$s[0] if $s else -1"),
         (".findFirst().orElse(-1L)",), ordered=True),
    Sink("last", "int", "int", ("the last of $np, or -1 if there is none", "the last one among $np (-1 without any)"),
         ("^$best = -1\n$best = $x\n=$best",), ("^long $best = -1;\n$best = $x;\n=$best",), ("$s[-1] if $s else -1",),
         ordered=True),
    Sink("joined_int", "int", "word", ('$np, joined by "-"', 'a string of $np with "-" between them'),
         ('^$out = []\n$out.append(str($x))\n="-".join($out)',),
         ('^ArrayList<String> $out = new ArrayList<>();\n$out.add(String.valueOf($x));\n=String.join("-", $out)',),
         ('"-".join(map(str, $s))', '"-".join(str(v) for v in $s)'),
         ('.map(String::valueOf).collect(Collectors.joining("-"))',), ordered=True),
)  # fmt: skip

WORDS = (
    Sink("joined_word", "word", "word", ("$np, joined by $k", "one string of $np with $k between them"),
         ("^$out = []\n$out.append($x)\n=$k.join($out)",), ("^ArrayList<String> $out = new ArrayList<>();\n"
         "$out.add($x);\n=String.join($k, $out)",),
         ("$k.join($s)",), (".collect(Collectors.joining($k))",), GLUE, ordered=True),
    Sink("concat", "word", "word", ("$np, written one after another without a gap", "the concatenation of $np"),
         ('^$out = ""\n$out += $x\n=$out',), ('^StringBuilder $out = new StringBuilder();\n$out.append($x);\n'
         '=$out.toString()', '^String $out = "";\n$out += $x;\n=$out'),
         ('"".join($s)',), (".collect(Collectors.joining())",), ordered=True),
    Sink("longest", "word", "word", ('the longest of $np, the first one in a tie and "" without any',
         'the longest one among $np ("" if there is none, the first of equals)'),
         ('^$best = ""\nif len($x) > len($best):\n    $best = $x\n=$best',),
         ('^String $best = "";\nif ($x.length() > $best.length()) {\n    $best = $x;\n}\n=$best',),
         ('max($s, key=len, default="")',), ordered=True),
    Sink("letters", "word", "int", ("the total number of letters in $np", "the total length of $np"),
         ("^$total = 0\n$total += len($x)\n=$total",), ("^long $total = 0;\n$total += $x.length();\n=$total",),
         ("sum(map(len, $s))", 'len("".join($s))'), (".mapToLong(String::length).sum()",)),
    Sink("tally_word", "word", "table", ("a dictionary from each of $np to the number of its occurrences",
         "the frequencies of $np as a dictionary"),
         ("^$counts = {}\n$counts[$x] = $counts.get($x, 0) + 1\n=$counts",
         "^$counts = {}\nif $x not in $counts:\n    $counts[$x] = 0\n$counts[$x] += 1\n=$counts"),
         ("^HashMap<String, Long> $counts = new HashMap<>();\n$counts.merge($x, 1L, Long::sum);\n=$counts",
          "^HashMap<String, Long> $counts = new HashMap<>();\n$counts.put($x, $counts.getOrDefault($x, 0L) + 1);\n"
          "=$counts")),
    Sink("sizes", "word", "table", ("a dictionary from each of $np to its length",
         "the lengths of $np as a dictionary under each"),
         ("^$counts = {}\n$counts[$x] = len($x)\n=$counts",),
         ("^HashMap<String, Long> $counts = new HashMap<>();\n$counts.put($x, (long) $x.length());\n=$counts",)),
    Sink("last_word", "word", "word", ('the last of $np ("" if there is none)',
         'the last one among $np, or "" without any'),
         ('^$best = ""\n$best = $x\n=$best',), ('^String $best = "";\n$best = $x;\n=$best',),
         ('$s[-1] if $s else ""',), ordered=True),
)  # fmt: skip

CHARS = (
    Sink("string", "char", "word", ("the string of $np", "$np as one string", "$np put together to a string"),
         ('^$out = ""\n$out += $x\n=$out', '^$out = []\n$out.append($x)\n="".join($out)'),
         ('^StringBuilder $out = new StringBuilder();\n$out.append($x);\n=$out.toString()',
         '^String $out = "";\n$out += $x;\n=$out'),
         ('"".join($s)',), (".map(String::valueOf).collect(Collectors.joining())",), ordered=True),
    Sink("reversed_string", "char", "word", ("the string of $np in reverse order", "$np as one string, last one first"),
         ('^$out = ""\n$out = $x + $out\n=$out',), ('^String $out = "";\n$out = $x + $out;\n=$out',
         '^StringBuilder $out = new StringBuilder();\n$out.insert(0, $x);\n=$out.toString()'),
         ('"".join($s)[::-1]',), ordered=True),
    Sink("tally_char", "char", "table", ("a dictionary from each of $np to the number of its occurrences",
         "the frequencies of $np as a dictionary"),
         ("^$counts = {}\n$counts[$x] = $counts.get($x, 0) + 1\n=$counts",),
         ("^HashMap<String, Long> $counts = new HashMap<>();\nString $key = String.valueOf($x);\n"
         "$counts.put($key, $counts.getOrDefault($key, 0L) + 1);\n=$counts",)),
)  # fmt: skip

SINKS = (
    *INTS,
    *WORDS,
    *CHARS,
    *_listed("int"),
    *_listed("word"),
    *(sink for kind in ("int", "word", "char") for sink in _counts(kind)),
)
