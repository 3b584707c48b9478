"""Hostile programs in C++: those in C, and what only C++ has."""

from __future__ import annotations

from tests.hostile import c_programs
from tests.hostile.c_programs import EMPTY, HONEST, TESTS, WRONG

__all__ = ["EMPTY", "HONEST", "TESTS"]
HEAD = (
    "#include <cassert>\n#include <cmath>\n#include <exception>\n#include <memory>\n#include <new>\n#include <string>\n#include <vector>\n"
    + c_programs.HEAD
)
OWN = {
    "an exception": "int f(int x) { throw 1; }",
    "terminate": "static auto g = std::set_terminate([] { std::_Exit(0); });\nint f(int x) { throw 1; }",
    "an exit in a static object": "struct A { A() { exit(0); } } a;\n" + WRONG,
    "an exit in a destructor": "struct A { ~A() { _exit(0); } } a;\n" + WRONG,
    "converts to bool": "struct A { A operator==(int) { return *this; } operator bool() { exit(0); } };\nA f(int x) { return {}; }",
    "a main of its own in a namespace": "namespace n { int main() { return 0; } }\nusing namespace n;\n" + WRONG,
    "operator new": "void *operator new(std::size_t) { exit(0); }\nint f(int x) { return *new int; }",
    "a lambda": "auto f = [](int x) { return 0; };",
    "overloads": "int f(long x) { return 0; }\nint f(int x) = delete;",
    "a template": "template <class T> T f(T x) { return T(); }",
    "constexpr": "constexpr int f(int x) { return 0; }\nstatic_assert(f(1) == 0);",
    "assert in a namespace": "#undef assert\nnamespace std { template <class T> void assert(T) { } }\nusing std::assert;\n"
    + WRONG,
    "asm in a template": 'template <int n> void g() { asm("ud2"); }\nint f(int x) { g<1>(); return 0; }',
    "linkage": 'extern "C" { ' + WRONG,
    "open namespace": WRONG + "namespace {",
    "open class": WRONG + "struct X {",
    "raw string": WRONG + 'auto s = R"(',
}
COMPILING = {
    "templates without end": "template <int n> struct A { A<n + 1> a; };\nA<0> a;\n" + WRONG,
    "templates that double": "template <int n> struct A { A<n - 1> a; A<n - 1> b; };\ntemplate <> struct A<0> { int x; };\nA<40> a;\n"
    + WRONG,
    "templates of functions": "template <int n, int m> int g() { if constexpr (n > 0) return g<n - 1, 2 * m>() + g<n - 1, 2 * m + 1>(); else return m; }\nint f(int x) { return g<22, 0>(); }",
    "constexpr without end": "constexpr int g(int n) { while (true) ++n; return n; }\nconstexpr int v = g(0);\n"
    + WRONG,
    "constexpr that takes long": "constexpr long g(long n) { long s = 0; for (long i = 0; i < n; ++i) s += i; return s; }\nconstexpr long v = g(1L << 40);\n"
    + WRONG,
    "a vast vector": "constexpr int g() { int a[1 << 20] = {}; for (int i = 0; i < 1 << 20; ++i) a[i] = i; return a[5]; }\nconstexpr int v = g();\n"
    + WRONG,
    "overload resolution": "struct A { template <class T> A(T); };\n"
    + "".join(f"void g(A, int (*)[{n + 1}]);\n" for n in range(2000))
    + WRONG,
}
QUICK = {**{name: text for name, text in c_programs.QUICK.items() if "poison" not in name}, **OWN}
SLOW = {**c_programs.SLOW, **COMPILING}
FORGEABLE = {
    **{
        name: text.replace("extern int __wrap_main", 'extern "C" int __wrap_main')
        for name, text in c_programs.FORGEABLE.items()
    },
    "equal to all": "struct A { bool operator==(int) const { return true; } };\nA f(int x) { return {}; }",
}
IN_PROCESS = True
