"""Families of Java sources that upset a compiler: too deep, too large, with names of others, or broken."""

from __future__ import annotations

from tests.hostile.families import java_family

_NAMES = (
    "Arrays",
    "List",
    "String",
    "Object",
    "Math",
    "System",
    "Integer",
    "Override",
    "AssertionError",
    "Iterable",
    "Runnable",
    "StringBuilder",
    "Enum",
    "Record",
)
_PACKAGES = ("java.util", "java.lang", "org.javatuples", "p", "a.b.c.d", "sun.misc", "qharness", "Problem")
_DEPTHS = (300, 2000, 6000)


def _deep(before: str, core: str, after: str) -> list[str]:
    return [f"int x = {before * n}{core}{after * n};" for n in _DEPTHS]


def _statements(before: str, after: str) -> list[str]:
    return [before * n + after * n for n in _DEPTHS]


_DOUBLED = 'static final String a = "0123456789";' + "".join(
    f" static final String {b} = {a}+{a}+{a}+{a};" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)
_DOUBLED_SHORT = (
    'final String a = "0123456789abcdef", '
    + ", ".join(f"{b} = {a}+{a}+{a}+{a}" for a, b in zip("abcdef", "bcdefg", strict=True))
    + ";"
)
_CONSTANTS = [
    f"{_DOUBLED} static int f() {{ return h.length(); }}",
    f"static int f() {{ {_DOUBLED_SHORT} return g.length(); }}",
    f"{_DOUBLED} static int f() {{ System.out.println(h + h); return 2; }}",
    f"{_DOUBLED} @Deprecated(since = h) static int f() {{ return 2; }}",
    f"{_DOUBLED} static int f() {{ switch (\"\") {{ case h: return 1; default: return 2; }} }}",
    *[f'static int f() {{ return "{"x" * n}".length(); }}' for n in (65_534, 65_535, 65_536, 200_000)],
    *[f'static int f() {{ return "{chr(0x4e00) * n}".length(); }}' for n in (21_844, 21_846)],
    *[f"static int f() {{ int {'x' * n} = 2; return {'x' * n}; }}" for n in (60_000, 66_000)],
]  # fmt: skip
_LARGE = [
    "static int f() { return 2; } " + "".join(f"static int g{n}() {{ return {n}; }} " for n in range(9000)),
    "static int f() { return 2; } " + "".join(f"static int a{n}; " for n in range(66_000)),
    "static int f() { int x = 0; " + "x++; " * 30_000 + "return 2; }",
    "static int g(" + ", ".join(f"int a{n}" for n in range(300)) + ") { return 2; } static int f() { return 2; }",
    "enum E { " + ", ".join(f"A{n}" for n in range(4000)) + " } static int f() { return 2; }",
    "static int f() { int[] x = {" + "1234567, " * 12_000 + "}; return 2; }",
    "static int f() { switch (3) { " + "".join(f"case {n}: return {n}; " for n in range(9000)) + " } return 2; }",
    "static int f() { return 2; } " + "".join(f"static class C{n} {{ }} " for n in range(500)),
    "static int f() { String s = " + " + ".join(f"(a + {n})" for n in range(400)) + "; return 2; } static int a = 1;",
]  # fmt: skip
_INFERRED = [
    f"static <T> T r(java.util.concurrent.Callable<T> c) throws Exception {{ return c.call(); }} static void r(Runnable x) {{ }} static int f() throws Exception {{ {'r(() -> ' * n}{{ return 2; }}{')' * n}; return 2; }}"
    for n in (3, 6, 8)
]
_BROKEN = [
    "static int f() { return 1; /* ", "static int f() { return 1; } } }", "static int f() { return 1; } } class Other {", 'static int f() { return "; }', "static int f() { return '\\u000a'; }",
    "\\u007d", "\\ud800 static int f() { return 1; }", "static int f() { return \0; }", "static int f() { return 1 }", "static f() { return 1; }", "int f() { return 1; }", "static int f() { return g(); }",
    "static int f() { return 1; } static int f() { return 1; }", "class Problem { } static int f() { return 1; }", "static int f() throws Nothing { return 1; }", "static int f() { int x; return x; }",
    "static int f() { goto x; }", "static int f() { return (int) null; }", "static int f() { return 99999999999; }", "static int f() { Object o = (() -> 1); return 2; }", "@interface A { A value(); } static int f() { return 1; }",
    "static class A extends B { } static class B extends A { } static int f() { return 1; }", "static <T extends T> int f() { return 1; }", 'static int f() { return """x"""; }', "sealed interface S permits Nothing { } static int f() { return 1; }",
    "static int f() { for (;;) { } return 1; }", "static int f() { var x = null; return 1; }", "package q; static int f() { return 1; }", "import java.nothing.*; static int f() { return 1; }", "module m { } static int f() { return 1; }",
]  # fmt: skip
_MANY = [
    f"{many} static int f() {{ return 2; }}"
    for many in (
        "static int x = y; " * 3000,
        "@Nothing " * 3000,
        "static List a = new ArrayList(); ".replace("a", "a%d") * 0
        + "".join(f"static List a{n} = new ArrayList(); " for n in range(2000)),
        "static Nothing<Nothing<Nothing>> x; " * 900,
    )
]
_GENERIC = [
    "static class C<T> { } static " + "C<" * n + "Integer" + ">" * n + " x; static int f() { return 2; }" for n in (50, 400, 1500)
] + ["interface A<T> { } static class B<T> implements A<A<? super B<B<T>>>> { } static A<? super B<Integer>> x = new B<Integer>(); static int f() { return 2; }"]  # fmt: skip
_DEEP_TYPES = [f"static int{'[]' * n} x; static int f() {{ return 2; }}" for n in (100, 255, 256, 3000)]

FAMILIES = [
    java_family("constants too long", "§ /* f() */", _CONSTANTS),
    java_family("too large", "§", _LARGE),
    java_family("broken", "§ /*  f() */", _BROKEN),
    java_family("many messages", "§", _MANY),
    java_family("types to find out", "§", _INFERRED),
    java_family("nested types", "§", [*_GENERIC, *_DEEP_TYPES]),
    java_family("brackets", "§", _deep("(", "1", ")")),
    java_family("operators", "§", [*_deep("-", "1", "")[:2], *_deep("1 + ", "1", ""), *_deep("true ? 1 : ", "2", "")]),
    java_family("strings added", "§", [f"String x = {' + '.join(['1'] * n)} + \"\";" for n in _DEPTHS] + [f"String x = {'1 + (' * 400}\"\"{')' * 400};"]),
    java_family("lambdas", "§", [f"Runnable r = {'() -> { Runnable x = ' * n}() -> {{ }}{'; }' * n};" for n in (20, 100, 700)]),
    java_family("blocks", "§", [*_statements("{", "}"), *_statements("if (true) {", "}"), *_statements("for (int i = 0; i < 0; i++) try {", "} finally { }")[:1]]),
    java_family("conditions", "int x = 1; §", ["if (x == 0) { } " + f"else if (x == {n}) {{ }} " * n for n in _DEPTHS]),
    java_family("calls", "§", [f"StringBuilder b = new StringBuilder(){'.append(1)' * n};" for n in _DEPTHS] + [f"int x = {'Math.abs(' * n}1{')' * n};" for n in _DEPTHS]),
    java_family("nested classes", "§", [f"{'static class A { '.replace('A', 'A§')}".replace("§", "0") + "".join(f"static class N{k} {{ " for k in range(n)) + "}" * (n + 1) + " static int f() { return 2; }" for n in (20, 200)]),
    java_family("names of the JDK", "return new §().x;", _NAMES, besides="class § { int x = 1; public boolean equals(Object other) { return true; } }"),
    java_family("packages", "", _PACKAGES, besides="package §;"),
    java_family("interfaces of the JDK's names", "", ["Comparable", "Collection", "Map", "Function", "CharSequence", "AutoCloseable"], besides="interface §<T> { default boolean equals(T other, int n) { return true; } }"),
    java_family("imports", "", ["java.util.nothing.*", "static java.lang.Math.*", "java.awt.List", "static Problem.*", "java.util.Date; import java.sql.Date", "jdk.internal.misc.Unsafe", "org.javatuples.*", "sun.misc.Unsafe"], besides="import §;"),
    java_family("annotations", "", ["@javax.annotation.processing.SupportedAnnotationTypes(\"*\")", "@FunctionalInterface", "@SafeVarargs", "@Deprecated @Deprecated", "@SuppressWarnings(Problem.class)", "@interface"], besides="§ class Own { }"),
]  # fmt: skip
