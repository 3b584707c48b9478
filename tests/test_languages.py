from __future__ import annotations

import pytest

from qharness.plugins.languages import Java, Python

DEF = 'def f(x):\n    """Twice."""\n'
BODY = "    return 2 * x"

PYTHON = {
    "ends at once": (BODY, BODY),
    "second function": (BODY + "\n\ndef g():\n    pass\n", BODY),
    "second class": (BODY + "\n\nclass C:\n    pass\n", BODY),
    "prose": (BODY + "\n\nThis function doubles its argument, doesn't it?\n", BODY),
    "a call at the margin": (BODY + "\nprint(f(1))\n", BODY),
    "nested function": (
        "    def g(y):\n        return y + x\n\n    return g(x)\n\nf(1)",
        "    def g(y):\n        return y + x\n\n    return g(x)",
    ),
    "comment at the margin": ("    y = x\n# now\n    return y + x\nx = 1", "    y = x\n# now\n    return y + x"),
    "string at the margin": ('    y = """\na\n"""\n    return y\nx = 1', '    y = """\na\n"""\n    return y'),
    "bracket at the margin": ("    y = [\n1,\n2\n]\n    return y\nx = 1", "    y = [\n1,\n2\n]\n    return y"),
    "never closes": ("    return (2 * x\n", "    return (2 * x\n"),
    "broken, then prose": ("    return 2 * * x\nThat was it.\n", "    return 2 * * x\n"),
    "comment on the line": ("    return 2 * x  # twice\nx = 1", "    return 2 * x  # twice"),
    "empty": ("", ""),
    "non-ascii": ("    return 'é→'\n\nπ = 3\n", "    return 'é→'"),
}


@pytest.mark.parametrize("case", PYTHON)
def test_first_python_function(case: str) -> None:
    completion, kept = PYTHON[case]
    assert Python().first_function(DEF, completion).rstrip() == kept.rstrip()


def test_python_prompt_with_a_helper_before() -> None:
    prompt = "def helper():\n    return 1\n\n\n" + DEF
    assert Python().first_function(prompt, BODY + "\ndef g(): pass") == BODY


def test_python_method() -> None:
    prompt = "class C:\n    def f(self):\n"
    completion = "        return 1\n\n    def g(self):\n        return 2\n"
    assert Python().first_function(prompt, completion) == "        return 1"


def test_python_without_a_function_is_left_alone() -> None:
    assert Python().first_function("x = ", "1\ny = 2") == "1\ny = 2"


DECLARED = "class Problem {\n    /** Twice. { */\n    static int f(int x)"
OPENED = "class Problem {\n    // Twice. }\n    static int f(int x) {\n"

JAVA = {
    "ends at once": (" {\n return 2 * x;\n }", " {\n return 2 * x;\n }"),
    "second method": (" { return 2 * x; }\n static int g() { return 1; }\n}", " { return 2 * x; }"),
    "second class": (" { return 2 * x; }\n}\n\nclass Other { int y; }\n", " { return 2 * x; }"),
    "prose": (" { return 2 * x; }\n}\nThis doesn't use a { brace.", " { return 2 * x; }"),
    "braces in strings": (' { String s = "}"; char c = \'}\'; /* } */ // }\n return 2; } int y;', ' { String s = "}"; char c = \'}\'; /* } */ // }\n return 2; }'),
    "anonymous class and lambda": (" { Runnable r = new Runnable() { public void run() { } }; Runnable l = () -> { }; return 2; } }", " { Runnable r = new Runnable() { public void run() { } }; Runnable l = () -> { }; return 2; }"),
    "local class": (" { class L { int y() { return 1; } } return new L().y(); } }", " { class L { int y() { return 1; } } return new L().y(); }"),
    "array": (" { int[] y = {1, 2}; return y[0]; } }", " { int[] y = {1, 2}; return y[0]; }"),
    "never closes": (" { while (true) { return 2;", " { while (true) { return 2;"),
    "empty": ("", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", JAVA)
def test_first_java_method_declared(case: str) -> None:
    completion, kept = JAVA[case]
    assert Java().first_function(DECLARED, completion) == kept


@pytest.mark.parametrize("case", [name for name in JAVA if name != "empty"])
def test_first_java_method_opened(case: str) -> None:
    completion, kept = JAVA[case]
    opening = completion.index("{") + 1
    assert Java().first_function(OPENED, completion[opening:]) == kept[opening:]


def test_java_field_initializer_in_the_prompt() -> None:
    prompt = "class Problem {\n    static int[] dx = {-1, 0};\n    static int f(int x)"
    assert Java().first_function(prompt, " { return x; } int y; }") == " { return x; }"
