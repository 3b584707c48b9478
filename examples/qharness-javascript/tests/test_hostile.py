"""Programs that try to pass without being right, or to use more than they may. Each ends as it must.

`f` has to return 1 and returns 2, unless the program has nothing against it.
"""

from __future__ import annotations

import pytest

from qharness import Outcome, Status

EARLY, FAILED, ERROR, PASSED = Status.EARLY_EXIT, Status.FAILED, Status.ERROR, Status.PASSED
TIMEOUT, MEMORY, OUTPUT, COMPILE = Status.TIMEOUT, Status.OUT_OF_MEMORY, Status.OUTPUT_LIMIT, Status.COMPILE_ERROR
WRONG = "{ const assert = require('node:assert'); assert.strictEqual(f(), 1); }"
DEEP = "{ const assert = require('node:assert'); assert.deepStrictEqual(f(), [1, 2]); }"
BY_JSON = "if (JSON.stringify(f()) !== '[1,2]') throw new Error('wrong');"
BY_METHODS = "if (!f().every((each) => each === 1)) throw new Error('wrong');"
BY_EQUALS = "if (f() != 'one') throw new Error('wrong');"
ASYNC = "(async () => { const assert = require('node:assert'); assert.strictEqual(await f(), 1); })();"
BODY = "function f() { return 2; } "
LOOK = """
const loot = [];
const seek = (what) => { try { loot.push(String(what())); } catch (error) { } };
const forge = () => {
  const words = [...new Set(loot.join('\\n').match(/[0-9a-f]{32}/g) ?? [''])].slice(0, 1000);
  for (const word of words) for (const way of [console.log, console.error, (t) => process.stdout.write(t + '\\n')]) way(`${word} passed `);
};
"""


def looking(what: str) -> str:
    """Looks for the token with `what`, reports a pass in the name of all it found, and says so if there was any."""
    said = "if (loot.length > 0 && loot.join('').match(/[0-9a-f]{32}/)) throw new Error('broke in');"
    return f"{LOOK} seek(() => {what}); forge(); {said} {BODY}"


# name: (source, tests, how it may end)
FORGERS = {
    "a printed report": ("console.log('passed'); console.log('- passed'); process.exit(0);", WRONG, {EARLY}),
    "a printed report, then the tests": (BODY + "console.log('\\n- passed x\\n passed \\n');", WRONG, {FAILED}),
    "the first line of standard input": (looking("require('fs').readFileSync(0)"), WRONG, {FAILED}),
    "standard input": (looking("process.stdin.read()"), WRONG, {FAILED}),
    "its own memory": (looking("require('fs').readFileSync('/proc/self/mem')"), WRONG, {FAILED}),
    "its parent's memory": (looking("process.binding('fs').internalModuleReadJSON('/proc/1/mem')"), WRONG, {FAILED}),
    "memory that others have left": (looking("Array.from({ length: 3000 }, (_, n) => Buffer.allocUnsafeSlow(32 + n % 900).toString('latin1')).join('')"), WRONG, {FAILED}),
    "pooled memory": (looking("Array.from({ length: 3000 }, () => Buffer.allocUnsafe(64).toString('latin1')).join('')"), WRONG, {FAILED}),
    "the arguments": (looking("process.argv.concat(process.execArgv, Object.values(process.env)).join(' ')"), WRONG, {FAILED}),
    "the heap": (looking("require('v8').getHeapSnapshot().read()"), WRONG, {FAILED}),
    "the inspector": (looking("new (require('inspector').Session)().connect()"), WRONG, {FAILED}),
    "the inspector by a binding": (looking("process.binding('inspector')"), WRONG, {FAILED}),
    "the module loader": (looking("module.constructor._load('v8').getHeapSnapshot().read()"), WRONG, {FAILED}),
    "the loader of a module's main": (looking("require.main.require('fs').readFileSync('/proc/self/mem')"), WRONG, {FAILED}),
    "a builtin module": (looking("process.getBuiltinModule('v8').getHeapSnapshot().read()"), WRONG, {FAILED}),
    "the constructor of `require`": (looking("require.constructor('return process')().getBuiltinModule('v8').getHeapSnapshot().read()"), WRONG, {FAILED}),
    "an import": (LOOK + BODY + "import('v8').then((v8) => { throw new Error('broke in'); }, () => {});", WRONG, {FAILED}),
    "an import by eval, from a promise": (BODY + "Promise.resolve('import(\"v8\")').then(eval).then(() => { throw new Error('broke in'); }, () => {});", ASYNC, {FAILED}),
    "an import by a timer": (BODY + "setTimeout(eval, 0, 'import(\"v8\").then(() => { throw new Error(\"broke in\"); }, () => {})');", ASYNC, {FAILED}),
    "who called": (looking("f.caller"), WRONG, {FAILED}),
    "the functions on the stack": (f"{LOOK} Error.prepareStackTrace = (_, sites) => sites; function f() {{ for (const site of new Error().stack) seek(() => site.getFunction() ?? site.getThis()); forge(); if (loot.some((each) => each.includes('strict' + 'Equal') || each.includes('to' + 'ken'))) throw new Error('broke in'); return 2; }}", WRONG, {FAILED}),
    "the methods of process's own class": ("const events = require('events'); let host; for (const name of ['emit', 'on', 'listenerCount']) events.prototype[name] = function () { host ??= this; host.getBuiltinModule && host.reallyExit(0); return true; }; " + BODY, ASYNC, {FAILED}),
    "a token of its own": (f"{LOOK} loot.push('0'.repeat(32)); forge(); {BODY}", WRONG, {FAILED}),
    "sees the bytes that are written": ("for (const name of ['byteLength', 'length', 'buffer']) Object.defineProperty(Uint8Array.prototype, name, { get() { process.exit(0); } }); function f() { return 1; }", WRONG, {PASSED}),
    "a setter on the way of the report": ("Object.defineProperty(Object.prototype, 'errno', { get() { return 1; }, set() { } }); function f() { return 1; }", WRONG, {ERROR}),
}  # fmt: skip

EXITS = {
    "exits": ("process.exit(0);", WRONG, {EARLY}),
    "exits in the function": ("function f() { process.exit(0); }", WRONG, {EARLY}),
    "exits by another's name": ("function f() { require('process').exit(0); }", WRONG, {ERROR}),
    "really exits": ("function f() { process.reallyExit(0); }", WRONG, {ERROR}),
    "aborts": ("function f() { process.abort(); }", WRONG, {ERROR}),
    "kills itself": ("function f() { process.kill(process.pid, 'SIGKILL'); }", WRONG, {ERROR}),
    "exits before the tests are awaited": ("async function f() { process.exit(0); }", ASYNC, {EARLY}),
    "exits from a timer": ("setTimeout(() => process.exit(0), 5); const f = () => new Promise((done) => setTimeout(done, 1000, 2));", ASYNC, {EARLY}),
    "ends where tests should begin": (BODY + "/*", WRONG, {COMPILE}),
    "returns to nobody": (BODY + "return;", WRONG, {COMPILE}),
    "throws nothing": ("throw undefined;", WRONG, {ERROR}),
    "throws what does not want to be seen": ("function f() { throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } }); }", WRONG, {ERROR}),
    "listens to what goes wrong": ("process.on('uncaughtException', () => {}); process.on('exit', () => process.exit(0)); async function f() { return 2; }", ASYNC, {FAILED}),
}  # fmt: skip

PATCHES = {
    "replaces an assertion": ("require('assert').strictEqual = () => {}; " + BODY, WRONG, {FAILED}),
    "replaces a strict assertion": ("require('assert').strict.strictEqual = require('assert/strict').equal = () => {}; " + BODY, WRONG.replace("node:assert", "assert/strict"), {FAILED}),
    "replaces assertions as they run": ("function f() { try { Object.defineProperty(require('assert'), 'strictEqual', { value() {} }); } catch { } return 2; }", WRONG, {FAILED}),
    "replaces require": ("globalThis.require = () => new Proxy(() => {}, { get: () => () => {} }); " + BODY, WRONG, {FAILED}),
    "declares require": ("function require() { return { strictEqual() { } }; } " + BODY, WRONG, {ERROR}),
    "declares require as a constant": ("const require = () => ({ strictEqual() { } }); " + BODY, WRONG, {ERROR}),
    "declares the tests' assert": ("const assert = { strictEqual() { } }; " + BODY, WRONG, {FAILED}),
    "replaces Object.is": ("Object.is = () => true; " + BODY, WRONG, {ERROR}),
    "replaces the comparison of arrays": ("Array.prototype.every = () => true; function f() { return [3]; }", BY_METHODS, {ERROR}),
    "replaces it as the tests run": ("function f() { Array.prototype.every = () => true; return [3]; }", BY_METHODS, {ERROR}),
    "replaces it and puts it back": ("const { every } = Array.prototype; function f() { Array.prototype.every = () => true; queueMicrotask(() => { Array.prototype.every = every; }); return [3]; }", BY_METHODS, {ERROR}),
    "replaces JSON.stringify": ("JSON.stringify = () => '[1,2]'; function f() { return 2; }", BY_JSON, {ERROR}),
    "replaces JSON": ("globalThis.JSON = { stringify: () => '[1,2]' }; function f() { return 2; }", BY_JSON, {ERROR}),
    "declares JSON": ("const JSON = { stringify: () => '[1,2]' }; function f() { return 2; }", BY_JSON, {ERROR}),
    "teaches numbers to print": ("Number.prototype.toJSON = () => [1, 2]; function f() { return 2; }", BY_JSON, {ERROR}),
    "teaches everything to print": ("Object.prototype.toJSON = () => [1, 2]; function f() { return {}; }", BY_JSON, {ERROR}),
    "teaches arrays to be primitive": ("Array.prototype[Symbol.toPrimitive] = () => 'one'; function f() { return []; }", BY_EQUALS, {ERROR}),
    "pollutes every object": ("({}).__proto__.value = 1; Object.prototype.length = 2; function f() { return {}; }", DEEP, {ERROR}),
    "changes a prototype's own": ("Object.setPrototypeOf(Array.prototype, { every: () => true }); function f() { return []; }", DEEP, {ERROR}),
    "replaces an iterator": ("Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: true }); " + BODY, DEEP, {ERROR}),
    "replaces then": ("Promise.prototype.then = function () { return this; }; async function f() { return 2; }", ASYNC, {ERROR}),
    "a promise of another kind": ("const f = () => ({ then(done) { done(2); } });", ASYNC, {FAILED}),
    "a promise that is never kept": ("const f = () => new Promise(() => {});", ASYNC, {ERROR}),
    "a promise broken": ("const f = () => Promise.reject(new Error('no'));", ASYNC, {ERROR}),
    "a promise of its own class": ("class Kept extends Promise { then(done) { return Promise.resolve(); } } const f = () => new Kept(() => {});", ASYNC, {ERROR, FAILED}),
    "tests that nobody waits for": ("const f = async () => 2;", ASYNC + " 1;", {FAILED}),
    "tests that end late": ("const f = () => new Promise((done) => setTimeout(done, 50, 2));", ASYNC + " 1;", {FAILED}),
    "tests in a timer": (BODY, "setTimeout(() => { require('assert').strictEqual(f(), 1); }, 20); 1;", {FAILED}),
}  # fmt: skip

REACHES = {
    "a child process": (looking("require('child_process').execSync('cat /proc/*/environ')"), WRONG, {FAILED}),
    "a thread": (looking("new (require('worker_threads').Worker)('process.exit(0)', { eval: true })"), WRONG, {FAILED}),
    "a file": (looking("require('fs').readdirSync('/')"), WRONG, {FAILED}),
    "an addon": (looking("process.dlopen({ exports: {} }, '/tmp/x.node')"), WRONG, {FAILED}),
    "the network": (BODY + "fetch('http://127.0.0.1:1').then(() => { throw new Error('broke in'); }, () => {});", WRONG, {FAILED}),
    "other realms": (looking("new (require('vm').Script)('1')"), WRONG, {FAILED}),
}  # fmt: skip

LIMITS = {
    "a loop": ("function f() { for (;;); }", WRONG, {TIMEOUT}),
    "a loop of promises": ("function f() { return Promise.resolve().then(f); }", ASYNC, {TIMEOUT, MEMORY}),
    "a wait": ("function f() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }", WRONG, {TIMEOUT}),
    "a timer that goes on": ("setInterval(() => {}, 50); function f() { return 1; }", WRONG, {TIMEOUT}),
    "a heap bomb": ("function f() { const held = []; for (;;) held.push(new Array(10000).fill({})); }", WRONG, {MEMORY}),
    "buffers": ("function f() { const held = []; for (;;) held.push(Buffer.alloc(8 << 20, 1)); }", WRONG, {MEMORY, ERROR}),
    "an array too long": ("function f() { return new Array(2 ** 31).fill(1).length; }", WRONG, {MEMORY, ERROR, TIMEOUT}),
    "a string too long": ("function f() { return 'x'.repeat(2 ** 29); }", WRONG, {ERROR, FAILED, MEMORY}),
    "deep recursion": ("function f() { return 1 + f(); }", WRONG, {ERROR}),
    "deep recursion that is caught": ("function f() { try { return 1 + f(); } catch { return 2; } }", WRONG, {FAILED, ERROR}),
    "endless output": ("function f() { for (;;) console.log('x'.repeat(1000)); }", WRONG, {OUTPUT}),
    "endless errors": ("function f() { for (;;) process.stderr.write('x'.repeat(1000)); }", WRONG, {OUTPUT}),
    "an expression too deep": ("const deep = " + "[" * 20_000 + "]" * 20_000 + ";", WRONG, {COMPILE, ERROR}),
}  # fmt: skip

HARMLESS = {
    "nothing against it": ("function f() { return 1; }", WRONG, {PASSED}),
    "a method of its own": ("Array.prototype.sum = function () { return this.reduce((a, b) => a + b, 0); }; function f() { return [1].sum(); }", WRONG, {PASSED}),
    "output": ("console.log('x'); console.error({ a: [1] }); process.stdout.write('y'); function f() { return 1; }", WRONG, {PASSED}),
    "modules": ("const { createHash } = require('crypto'); const util = require('node:util'); function f() { return createHash('md5').update('a').digest('hex').length / 32; }", WRONG, {PASSED}),
    "classes, generators, regular expressions": ("class A { static #x = 1; static *all() { yield A.#x; } } const f = () => Number([...A.all()].join('').match(/(?<n>\\d)/).groups.n);", WRONG, {PASSED}),
    "time": ("const f = () => new Promise((done) => setTimeout(done, 20, 1));", ASYNC, {PASSED}),
    "a whole program": ("const f = () => 1; if (f() !== 1) process.exit(1);", "", {PASSED}),
    "a whole program that fails": ("process.exitCode = 3;", "", {EARLY}),
    "eval": ("const f = () => eval('1') * new Function('return 1')();", WRONG, {PASSED}),
    "other letters": ("const f = () => 'Straße 🦊'.normalize().length - 8;", WRONG, {PASSED}),
}  # fmt: skip

CORPUS = {**FORGERS, **EXITS, **PATCHES, **REACHES, **LIMITS, **HARMLESS}


@pytest.fixture(scope="module")
def outcomes(run) -> dict[str, Outcome]:
    """One run of the whole corpus."""
    return run({name: (source, tests) for name, (source, tests, _) in CORPUS.items()})


@pytest.mark.parametrize("name", CORPUS)
def test_ends_as_it_must(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.status in CORPUS[name][2], outcome.detail
    assert "broke in" not in outcome.detail


def test_it_is_a_corpus() -> None:
    assert sum(map(len, (FORGERS, EXITS, PATCHES, REACHES, LIMITS, HARMLESS))) == len(CORPUS) > 80
