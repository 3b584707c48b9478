"""Hostile programs in TypeScript: those in JavaScript, unchecked, and what only TypeScript has."""

from __future__ import annotations

from tests.hostile import javascript_programs
from tests.hostile.javascript_programs import EMPTY, FORGEABLE, TESTS

__all__ = ["EMPTY", "FORGEABLE", "TESTS"]
HEAD = ""
_UNCHECKED = "// @ts-nocheck\n" + javascript_programs.HEAD
WRONG = "function f(x: number): number { return 0; }\n"
OWN = {
    "a console of its own": "const console = { assert(x: any) {} };\n" + WRONG,
    "a declared console": "declare namespace console { function assert(x: never): void }\n" + WRONG,
    "an enum": "enum console { assert }\n" + WRONG,
    "a module": "export {};\n" + WRONG,
    "an exported function": "export " + WRONG,
    "a reference": '/// <reference path="/etc/passwd" />\n' + WRONG,
    "a reference to types": '/// <reference types="node" />\n' + WRONG,
    "another library": '/// <reference no-default-lib="true"/>\n/// <reference lib="dom" />\n' + WRONG,
    "a type of its own": "interface Number { valueOf(): 1234567 }\n" + WRONG,
    "globals": "declare global { interface Array<T> { x: T } }\nexport {};\n" + WRONG,
    "a cast": "const f = ((x: number) => ({ valueOf: () => 1234567 })) as unknown as (x: number) => number;",
    "a decorator": "function d(...a: any[]): any { return () => 1234567; }\nclass A { @d static f(x: number) { return 0; } }\nconst f: any = A.f;",
    "a namespace": "namespace N { export const f = (x: number) => 0; }\nimport f = N.f;",
    "a wrong type": "function f(x: number): number { return 'x'; }",
    "no such name": "function f(x: number): number { return y; }",
    "JSX": "const f: any = <div/>;",
    "an import": "import fs from '/etc/passwd';\n" + WRONG + "fs;",
    "open comment": WRONG + "/*",
    "open template": WRONG + "const s = `",
    "open function": WRONG + "function g() {",
}
COMPILING = {
    "types without end": "type A<T> = { a: A<T[]> }['a'];\nlet x: A<1>;\n" + WRONG,
    "types that double": "type A<N, R extends any[] = []> = R['length'] extends 30 ? N : A<[N, N], [...R, 0]>;\nlet x: A<1> = 1;\n"
    + WRONG,
    "unions": "type D = 0|1|2|3|4|5|6|7|8|9;\ntype S = `${D}${D}${D}${D}${D}${D}`;\nlet x: S = 'no';\n" + WRONG,
    "a recursion": "type A<T extends any[]> = T extends [infer H, ...infer R] ? A<[...R, H, H]> : 0;\nlet x: A<[1, 2]> = 0;\n"
    + WRONG,
    "deep": "const x = " + "[" * 20_000 + "]" * 20_000 + ";\n" + WRONG,
    "many errors": "let x: = ;\n" * 20_000,
}
QUICK = {**{name: _UNCHECKED + text for name, text in javascript_programs.QUICK.items()}, **OWN}
SLOW = {**{name: _UNCHECKED + text for name, text in javascript_programs.SLOW.items()}, **COMPILING}
IN_PROCESS = False
HONEST = {
    "passed": ("const f = (x: number): number => x + {0};", "console.assert(f(1) === {0} + 1);"),
    "failed": ("function f(x: number): number {{ return x; }}", "console.assert(f(1) === {0} + 2, 'no');"),
    "error": (
        "function f(x: number): number {{ throw new TypeError('number {0}'); }}",
        "console.assert(f(1) === {0});",
    ),
    "compile-error": ("function f(x: number): number {{ return 'x{0}'; }}", "console.assert(f(1) === {0});"),
    "early-exit": ("function f(x: number): any {{ process.exit(0 * {0}); }}", "console.assert(f(1) === {0});"),
}
