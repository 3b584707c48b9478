"""What is made of each element, and (`FINISHERS`) of the whole result."""

from __future__ import annotations

from tinycoder.steps import Argument, Step

SMALL = Argument("int", 2, 9, ("k", "amount", "n", "delta", "shift"))
TAKE = Argument("int", 2, 4, ("k", "n", "size", "width"))
LETTER = Argument("letter", names=("letter", "mark", "symbol", "sign"))


def _map(name: str, takes: str, gives: str, python: tuple[str, ...] | str, java: tuple[str, ...] | str, each: tuple[str, ...], of: tuple[str, ...],
         argument: Argument | None = None, ordered: bool = False) -> Step:  # fmt: skip
    pythons = (python,) if isinstance(python, str) else python
    javas = (java,) if isinstance(java, str) else java
    return Step(name, takes, gives, pythons, javas, each=each, of=of, argument=argument, ordered=ordered)


INTS = (
    _map("square", "int", "int", ("$x * $x", "$x ** 2"), "$x * $x", ("square $it", "multiply $it by itself", "raise $it to the second power"),
         ("the squares of $np", "the second powers of $np")),
    _map("double", "int", "int", ("$x * 2", "2 * $x", "$x + $x"), ("$x * 2", "2 * $x", "$x + $x"), ("double $it", "multiply $it by two"),
         ("the doubles of $np", "twice $np")),
    _map("plus", "int", "int", "$x + $k", "$x + $k", ("add $k to $it", "increase $it by $k", "raise $it by $k"),
         ("the sums of $k and $np", "the results of adding $k to $np"), SMALL),
    _map("minus", "int", "int", "$x - $k", "$x - $k", ("subtract $k from $it", "decrease $it by $k", "lower $it by $k"),
         ("the results of subtracting $k from $np", "the results of lowering $np by $k"), SMALL),
    _map("times", "int", "int", ("$x * $k", "$k * $x"), ("$x * $k", "$k * $x"), ("multiply $it by $k", "scale $it by $k"),
         ("the $k-fold of $np", "the products of $k with $np"), SMALL),
    _map("absolute", "int", "int", ("abs($x)", "$x if $x >= 0 else -$x"), ("Math.abs($x)", "$x >= 0 ? $x : -$x"),
         ("take the absolute value of $it", "drop the sign of $it"), ("the absolute values of $np", "the magnitudes of $np")),
    _map("negate", "int", "int", "-$x", "-$x", ("negate $it", "flip the sign of $it"), ("the negatives of $np", "the opposites of $np")),
    _map("last_digit", "int", "int", "abs($x) % 10", "Math.abs($x) % 10", ("reduce $it to its last digit", "keep only the last digit of $it"),
         ("the last digits of $np", "the final digits of $np")),
    _map("digit_sum", "int", "int",
         ("sum(int($d) for $d in str(abs($x)))", "$part = 0\n$rest = abs($x)\nwhile $rest > 0:\n    $part += $rest % 10\n    $rest //= 10\n=$part"),
         "long $part = 0;\nlong $rest = Math.abs($x);\nwhile ($rest > 0) {\n    $part += $rest % 10;\n    $rest /= 10;\n}\n=$part",
         ("replace $it by its digit sum", "add up the digits of $it"), ("the digit sums of $np", "the sums of the digits of $np")),
    _map("divisors", "int", "int", "$part = 0\nfor $d in range(1, abs($x) + 1):\n    if $x % $d == 0:\n        $part += 1\n=$part",
         "long $part = 0;\nfor (long $d = 1; $d <= Math.abs($x); $d++) {\n    if ($x % $d == 0) {\n        $part++;\n    }\n}\n=$part",
         ("replace $it by the number of its divisors", "count the divisors of $it"), ("the numbers of divisors of $np", "the divisor counts of $np")),
    _map("halve", "int", "int", ("$x // 2 if $x % 2 == 0 else $x + 1", "if $x % 2 == 0:\n    $part = $x // 2\nelse:\n    $part = $x + 1\n=$part"),
         ("$x % 2 == 0 ? $x / 2 : $x + 1", "long $part = $x + 1;\nif ($x % 2 == 0) {\n    $part = $x / 2;\n}\n=$part"),
         ("halve $it if it is even, and add one to it otherwise",), ("the results of halving the even and adding one to the odd ones of $np",)),
    _map("cap", "int", "int", ("min($x, $k)", "$x if $x < $k else $k", "if $x > $k:\n    $part = $k\nelse:\n    $part = $x\n=$part"),
         ("Math.min($x, $k)", "$x < $k ? $x : $k"), ("limit $it to at most $k", "cut $it down to $k where it is larger"),
         ("the smaller of $k and each of $np", "$np, limited to at most $k"), Argument("int", 3, 12, ("k", "cap", "limit", "ceiling"))),
    _map("floor", "int", "int", ("max($x, $k)", "$x if $x > $k else $k"), ("Math.max($x, $k)", "$x > $k ? $x : $k"),
         ("raise $it to at least $k", "lift $it to $k where it is smaller"), ("the larger of $k and each of $np", "$np, raised to at least $k"),
         Argument("int", -3, 8, ("k", "floor", "limit", "least"))),
    _map("distance", "int", "int", "abs($x - $k)", "Math.abs($x - $k)", ("replace $it by its distance to $k", "take the distance of $it from $k"),
         ("the distances of $np to $k", "the absolute differences of $k and $np"), Argument("int", 2, 12, ("k", "center", "point", "goal"))),
    _map("running_sum", "int", "int", "^$running = 0\n$running += $x\n=$running", "^long $running = 0;\n$running += $x;\n=$running",
         ("replace $it by the sum of it and all before it", "turn $it into the running total"),
         ("the running totals of $np", "the cumulative sums of $np"), ordered=True),
    _map("running_max", "int", "int", ("^$running = None\nif $running is None or $x > $running:\n    $running = $x\n=$running",
                                       "^$running = None\n$running = $x if $running is None else max($running, $x)\n=$running"),
         "^Long $running = null;\nif ($running == null || $x > $running) {\n    $running = $x;\n}\n=$running",
         ("replace $it by the largest so far", "turn $it into the running maximum"), ("the running maxima of $np", "the largest so far of $np"), ordered=True),
    _map("change", "int", "int", "^$previous = 0\n$step = $x - $previous\n$previous = $x\n=$step",
         "^long $previous = 0;\nlong $step = $x - $previous;\n$previous = $x;\n=$step",
         ("subtract from $it the one before (nothing from the first)", "replace $it by its change from the one before, the first by itself"),
         ("the changes from one to the next of $np, starting from zero",), ordered=True),
    _map("weigh", "int", "int", "^$index = 0\n$index += 1\n=$x * $index", "^long $index = 0;\n$index++;\n=$x * $index",
         ("multiply $it by its position, counted from one", "weigh $it with its place (1, 2, 3, ...)"),
         ("the products of $np with their positions from one on",), ordered=True),
    _map("alternate", "int", "int", "^$sign = -1\n$sign = -$sign\n=$x * $sign", "^long $sign = -1;\n$sign = -$sign;\n=$x * $sign",
         ("flip the sign of $it if it stands at an even place", "give $it alternating signs, plus first"),
         ("$np with alternating signs, plus first",), ordered=True),
    _map("written", "int", "word", "str($x)", ("String.valueOf($x)", "Long.toString($x)"), ("write $it as a string", "turn $it into text"),
         ("the string forms of $np", "the texts of $np")),
    _map("stars", "int", "word", '"*" * abs($x)', '"*".repeat((int) Math.abs($x))', ("replace $it by that many stars, whatever its sign",),
         ("rows of as many stars as the size of each of $np",)),
)  # fmt: skip

WORDS = (
    _map("length", "word", "int", "len($x)", "(long) $x.length()", ("replace $it by its length", "count the letters of $it"),
         ("the lengths of $np", "the letter counts of $np")),
    _map("vowels", "word", "int", ('sum($d in "aeiou" for $d in $x)', '$part = 0\nfor $d in $x:\n    if $d in "aeiou":\n        $part += 1\n=$part'),
         'long $part = 0;\nfor (char $d : $x.toCharArray()) {\n    if ("aeiou".indexOf($d) >= 0) {\n        $part++;\n    }\n}\n=$part',
         ("replace $it by its number of vowels", "count the vowels in $it"), ("the vowel counts of $np", "the numbers of vowels in $np")),
    _map("place", "word", "int", "$x.find($k)", "(long) $x.indexOf($k)", ("replace $it by the index of $k in it (-1 if absent)",),
         ("the indices of $k in $np (-1 where absent)",), LETTER),
    _map("upper", "word", "word", "$x.upper()", "$x.toUpperCase()", ("convert $it to upper case", "write $it in capitals"),
         ("the upper-case forms of $np", "$np in capitals")),
    _map("lower", "word", "word", "$x.lower()", "$x.toLowerCase()", ("convert $it to lower case", "write $it in small letters"),
         ("the lower-case forms of $np", "$np in small letters")),
    _map("reverse", "word", "word", ("$x[::-1]", '"".join(reversed($x))'), "new StringBuilder($x).reverse().toString()",
         ("reverse $it", "turn $it around", "write $it backwards"), ("the reversals of $np", "the mirror images of $np")),
    _map("head", "word", "word", "$x[:$k]", "$x.substring(0, (int) Math.min($k, $x.length()))",
         ("cut $it to its first $k letters", "shorten $it to at most $k letters"), ("the first $k letters of $np", "the beginnings of length $k of $np"), TAKE),
    _map("capital", "word", "word", ("$x[:1].upper() + $x[1:]",), "$x.substring(0, 1).toUpperCase() + $x.substring(1)",
         ("capitalize the first letter of $it", "give $it a capital first letter"), ("$np with a capital first letter",)),
    _map("append", "word", "word", "$x + $k", "$x + $k", ("append $k to $it", "put $k behind $it"), ("$np with $k appended", "$np followed by $k"), LETTER),
    _map("prefix", "word", "word", "$k + $x", "$k + $x", ("put $k in front of $it", "prepend $k to $it"), ("$np with $k in front", "$np preceded by $k"), LETTER),
    _map("strip", "word", "word", ('$x.replace($k, "")', '$part = ""\nfor $d in $x:\n    if $d != $k:\n        $part += $d\n=$part'), '$x.replace($k, "")',
         ("remove every $k from $it", "delete all $k from $it"), ("$np without any $k", "$np with every $k removed"), LETTER),
    _map("twice", "word", "word", ("$x * 2", "$x + $x"), ("$x + $x", "$x.repeat(2)"), ("write $it twice", "repeat $it once"), ("$np, each written twice",)),
    _map("no_vowels", "word", "word", ('"".join($d for $d in $x if $d not in "aeiou")', '$part = ""\nfor $d in $x:\n    if $d not in "aeiou":\n        $part += $d\n=$part'),
         ('$x.replaceAll("[aeiou]", "")', 'String $part = "";\nfor (char $d : $x.toCharArray()) {\n    if ("aeiou".indexOf($d) < 0) {\n        $part += $d;\n    }\n}\n=$part'),
         ("remove the vowels of $it", "strip $it of vowels"), ("$np without their vowels", "the consonants of $np")),
)  # fmt: skip

CHARS = (
    _map("upper_c", "char", "char", "$x.upper()", "Character.toUpperCase($x)", ("make $it upper case", "capitalize $it"), ("the upper-case forms of $np",)),
    _map("lower_c", "char", "char", "$x.lower()", "Character.toLowerCase($x)", ("make $it lower case",), ("the lower-case forms of $np",)),
    _map("next", "char", "char", "chr(ord($x) + 1)", "(char) ($x + 1)", ("replace $it by the character that follows it", "move $it on by one in the alphabet"),
         ("the successors of $np", "the characters after $np")),
    _map("code", "char", "int", "ord($x)", "(long) $x", ("replace $it by its character code",), ("the character codes of $np", "the code points of $np")),
    _map("pair", "char", "word", ("$x * 2", "$x + $x"), ('"" + $x + $x', "String.valueOf($x).repeat(2)"), ("double $it as text", "write $it two times"),
         ("two copies of each of $np",)),
    _map("swap", "char", "char", ("$k if $x == \" \" else $x",), ("$x == ' ' ? $k.charAt(0) : $x",), ("replace $it by $k if it is a space",),
         ("$np with $k for each space",), LETTER),
)  # fmt: skip

MAPS = (*INTS, *WORDS, *CHARS)

FINISHERS = (
    _map("then_plus", "int", "int", "$x + $k", "$x + $k", ("add $k to $it", "increase $it by $k"), ("$np plus $k", "$k more than $np"), SMALL),
    _map("then_double", "int", "int", ("$x * 2", "2 * $x"), ("$x * 2", "2 * $x"), ("double $it",), ("twice $np", "the double of $np")),
    _map("then_cap", "int", "int", ("min($x, $k)", "if $x > $k:\n    return $k\n=$x"), ("Math.min($x, $k)", "if ($x > $k) {\n    return $k;\n}\n=$x"),
         ("limit $it to at most $k", "give $k instead of $it if that is smaller"), ("the smaller of $k and $np", "$np but no more than $k"),
         Argument("int", 8, 40, ("k", "cap", "limit", "most"))),
    _map("then_absolute", "int", "int", "abs($x)", "Math.abs($x)", ("drop the sign of $it",), ("the absolute value of $np", "the magnitude of $np")),
    _map("then_even", "int", "bool", "$x % 2 == 0", "$x % 2 == 0", ("tell whether $it is even", "check if $it is even"), ("whether $np is even",)),
    _map("then_above", "int", "bool", ("$x > $k", "if $x > $k:\n    return True\n=False"), ("$x > $k", "if ($x > $k) {\n    return true;\n}\n=false"),
         ("tell whether $it exceeds $k", "check if $it is greater than $k"), ("whether $np exceeds $k", "whether $np is greater than $k"),
         Argument("int", 2, 20, ("k", "limit", "bound", "goal"))),
    _map("then_label", "int", "word", ('"even" if $x % 2 == 0 else "odd"', 'if $x % 2 == 0:\n    return "even"\n="odd"'),
         ('$x % 2 == 0 ? "even" : "odd"', 'if ($x % 2 == 0) {\n    return "even";\n}\n="odd"'),
         ('say "even" or "odd", whichever $it is',), ('"even" or "odd", according to $np',)),
    _map("then_first", "ints", "ints", "$x[:$k]", "new ArrayList<>($x.subList(0, (int) Math.min($k, $x.size())))",
         ("keep only the first $k of $it", "cut $it to $k entries"), ("the first $k of $np", "the first $k entries of $np"), TAKE),
    _map("then_some", "words", "words", "$x[:$k]", "new ArrayList<>($x.subList(0, (int) Math.min($k, $x.size())))",
         ("keep only the first $k of $it", "cut $it to $k entries"), ("the first $k of $np", "the first $k entries of $np"), TAKE),
    _map("then_size", "ints", "int", "len($x)", "(long) $x.size()", ("give the length of $it",), ("the length of $np", "the size of $np")),
    _map("then_length", "word", "int", "len($x)", "(long) $x.length()", ("give the length of $it",), ("the length of $np",)),
    _map("then_upper", "word", "word", "$x.upper()", "$x.toUpperCase()", ("write $it in capitals", "convert $it to upper case"), ("$np in capitals", "$np in upper case")),
    _map("then_reverse", "word", "word", "$x[::-1]", "new StringBuilder($x).reverse().toString()", ("reverse $it",), ("the reversal of $np", "$np backwards")),
    _map("then_bracket", "word", "word", '"[" + $x + "]"', '"[" + $x + "]"', ("put $it in square brackets",), ("$np in square brackets",)),
    _map("then_most", "table", "int", "max($x.values(), default=0)", "$x.values().stream().mapToLong(v -> v).max().orElse(0)",
         ("give the largest value in $it",), ("the largest value in $np",)),
    _map("then_keys", "table", "words", "sorted($x)", "new ArrayList<>(new TreeSet<>($x.keySet()))", ("give the sorted keys of $it",), ("the sorted keys of $np",)),
)  # fmt: skip
