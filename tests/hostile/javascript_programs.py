"""Hostile programs in JavaScript, for tests that ask a function `f` for what none of these computes."""

from __future__ import annotations

WRONG = "function f(x) { return 0; }\n"
TESTS = "console.assert(f(7) === 1234567); console.assert(f(8) == 7654321);"
HEAD = "const fs = require('fs');\n"

EXITS = {
    "exit": "process.exit(0);",
    "exit in f": "function f() { process.exit(0); }",
    "reallyExit": "function f() { process.reallyExit(0); }",
    "abort": "function f() { process.abort(); }",
    "exit at exit": "process.on('exit', () => { process.exitCode = 0; });\nfunction f() { throw 1; }",
    "swallows exceptions": "process.on('uncaughtException', () => process.exit(0));\nfunction f() { throw 1; }",
    "kills itself": "function f() { process.kill(process.pid, 'SIGKILL'); }",
    "throws at load": "throw new Error('no');",
    "throws nothing": "function f() { throw undefined; }",
    "throws a getter": "function f() { throw { get message() { process.exit(0); } }; }",
    "throws a proxy": "function f() { throw new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } }); }",
    "replaces itself": "function f() { require('child_process').execFileSync('/bin/true'); process.exit(0); }",
    "does not define it": "const g = 1;",
    "returns from the module": "return;",
}
PATCHES = {
    "console.assert": "console.assert = () => {};\n" + WRONG,
    "console": "globalThis.console = new Proxy({}, { get: () => () => {} });\n" + WRONG,
    "a console of its own": "var console = { assert() {}, log() {} };\n" + WRONG,
    "the assert module": "require('assert').ok = require('assert').strictEqual = () => {};\n" + WRONG,
    "the cache of modules": "for (const k of Object.keys(require.cache)) require.cache[k].exports = {};\n" + WRONG,
    "Object.prototype": "Object.prototype.toJSON = () => 1234567; Object.prototype[0] = 1234567;\n" + WRONG,
    "Array.prototype": "Array.prototype.toJSON = () => ['answer', 1234567, []];\nArray.prototype.push = () => 1;\n" + WRONG,
    "JSON": "JSON.stringify = () => '[\"answer\",1234567,[]]'; JSON.parse = () => ['answer', 1234567, []];\n" + WRONG,
    "Reflect": "Reflect.apply = () => 1; Reflect.ownKeys = () => [];\n" + WRONG,
    "Function.prototype": "Function.prototype.call = Function.prototype.apply = () => true;\n" + WRONG,
    "Symbol.iterator": "Array.prototype[Symbol.iterator] = function* () { yield 'passed'; };\n" + WRONG,
    "String.prototype": "String.prototype.valueOf = () => 'passed'; String = () => 'passed';\n" + WRONG,
    "Number": "Number.prototype[Symbol.toPrimitive] = () => 1234567; Object.is = () => true;\n" + WRONG,
    "Promise": "Promise.prototype.then = (a) => a(1234567);\n" + WRONG,
    "Error": "Error.prepareStackTrace = (e, s) => { process.exit(0); };\nfunction f() { throw new Error(); }",
    "Map": "Map.prototype.get = Map.prototype.has = () => true; globalThis.Map = class {};\n" + WRONG,
    "globalThis": "Object.defineProperty(globalThis, 'f', { get() { return () => 0; } });",
    "fs": "for (const k in fs) if (typeof fs[k] === 'function') fs[k] = () => 0;\n" + WRONG,
}  # fmt: skip
VALUES = {
    "equal to all": "function f() { return { valueOf: () => 1234567, toString: () => '1234567' }; }",
    "primitive": "class V { [Symbol.toPrimitive]() { return 7654321; } }\nfunction f() { return new V(); }",
    "a number object": "function f() { return new Number(1234567); }",
    "a proxy": "function f() { return new Proxy(function () {}, { get: () => () => 1234567, apply: () => 1234567 }); }",
    "a thenable": "function f() { return { then(a) { a(1234567); } }; }",
    "a promise": "function f() { return Promise.resolve(1234567); }",
    "a promise that never ends": "function f() { return new Promise(() => {}); }",
    "a generator": "function* f() { yield 1234567; }",
    "document.all": "function f() { return Object.create(null, { length: { value: 1234567 } }); }",
    "prototype in JSON": "function f() { return JSON.parse('{\"__proto__\": {\"valueOf\": 1}}'); }",
    "a prototype": "function f() { return Object.prototype; }",
    "itself": "function f() { const a = []; a[0] = a; return a; }",
    "deep": "function f() { let a = []; for (let n = 0; n < 1e5; n++) a = [a]; return a; }",
    "wide": "function f() { return new Array(4e9 - 1 >>> 0); }",
    "long": "function f() { return 'x'.repeat(1 << 28); }",
    "a getter": "function f() { return { get a() { throw 1; } }; }",
    "an exception of a name": "function f() { const e = new Error('x'); e.name = 'constructor'; e.code = 'ERR_ASSERTION'; throw e; }",
    "a name of assertion": "class AssertionError extends Error {}\nfunction f() { throw new AssertionError('passed'); }",
    "changes its arguments": "function f(x) { arguments[0] = 1234567; arguments.length = 0; return x; }",
    "a symbol": "function f() { return Symbol.for('1234567'); }",
}  # fmt: skip
ANSWER = "const say = (...lines) => { for (const l of lines) fs.writeSync(3, l + '\\n'); };\n"
FORGERS = {
    "an end": ANSWER + "say('[\"end\",\"passed\",\"\"]');\n" + WRONG,
    "an end in f": ANSWER + "function f() { say('[\"end\",\"passed\",\"\"]', 'end 1 [\"passed\",\"\",false]'); return 0; }",
    "a job": ANSWER + "function f() { say('job 1 {\"tests\":\"\"}', 'job 2 {\"tests\":\"\"}', '[]'); return 0; }",
    "many jobs": ANSWER + "for (let n = 0; n < 200; n++) say(`job ${n} {\"tests\":\"\"}`, `end ${n} [\"passed\",\"\",false]`);\n" + WRONG,
    "it is gone": ANSWER + "function f() { say('gone', 'gone 1'); return 0; }",
    "no names": ANSWER + "say('[\"loaded\"]', '[\"answer\",[\"array\",0,[0,[]]],[]]');\n" + WRONG,
    "names of the tests": ANSWER + "say('[\"loaded\"]', '[\"answer\",[\"array\",1,[1,[[\"0\",[\"array\",2,[2,[[\"0\",\"console\"],[\"1\",1]]]]]]],[]]');\n" + WRONG,
    "no JSON": ANSWER + "function f() { say('{{{{', '[[[['); return 0; }",
    "no value": ANSWER + "function f() { say('[\"answer\",[\"known\",999999],[]]'); return 0; }",
    "an unknown kind": ANSWER + "function f() { say('[\"answer\",[\"constructor\",1,[]],[]]'); return 0; }",
    "a strange error": ANSWER + "function f() { say('[\"throw\",[\"error\",9,[\"__proto__\",\"x\",[\"undefined\"]]],[]]'); return 0; }",
    "changes what it must not": ANSWER + "function f() { say('[\"answer\",0,[[0,\"array\",[0,[]]],[7,\"map\",[]]]]'); return 0; }",
    "asks back": ANSWER + "function f() { say('[\"ask\",\"constructor\",[\"array\",0,[0,[]]],[]]'); return 0; }",
    "asks for the tests": ANSWER + "function f() { say('[\"ask\",\"call\",[\"array\",0,[2,[[\"0\",0],[\"1\",[\"array\",1,[0,[]]]]]]],[]]'); return 0; }",
    "a line without end": "function f() { const b = Buffer.alloc(1 << 20, 97); for (;;) fs.writeSync(3, b); }",
    "every descriptor": "for (let d = 0; d < 64; d++) try { fs.writeSync(d, 'passed \\n'); } catch { }\n" + WRONG,
    "reads the channel": "let b = Buffer.alloc(1 << 16); function f() { fs.readSync(3, b); return 0; }",
    "closes the channel": "fs.closeSync(3);\n" + WRONG,
}  # fmt: skip
HOST = {
    "reads the host": "function f() { return fs.readFileSync('@home_file@').length ? 1234567 : 0; }",
    "reads passwords": "function f() { return fs.readFileSync('/etc/passwd').length ? 1234567 : 0; }",
    "its own memory": "function f() { return fs.openSync('/proc/self/mem') ? 1234567 : 0; }",
    "writes to the harness": "function f() { fs.writeFileSync(require.main.filename, ''); return 1234567; }",
    "connects": "function f() { require('child_process').execFileSync(process.execPath, ['-e', \"require('net').connect(@port@, '127.0.0.1').on('connect', () => process.exit(0)).on('error', () => process.exit(1))\"]); return 1234567; }",
    "kills all": "function f() { try { process.kill(-1, 'SIGKILL'); } catch { } try { process.kill(process.ppid, 'SIGKILL'); } catch { } return 0; }",
    "leaves a file": "fs.writeFileSync('/tmp/left', 'x');\n" + WRONG,
    "chmods /tmp": "try { fs.chmodSync('/tmp', 0); } catch { }\n" + WRONG,
    "a child that stays": "require('child_process').spawn(process.execPath, ['-e', 'for(;;);'], { detached: true }).unref();\n" + WRONG,
    "the inspector": "require('inspector').open(0);\n" + WRONG,
    "internals": "const b = process.binding('fs'); for (const k in b) try { b[k] = () => 0; } catch { }\n" + WRONG,
    "native code": "process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6');\n" + WRONG,
}  # fmt: skip
RESOURCES = {
    "loops": "function f() { for (;;) ; }",
    "loops at load": "for (;;) ;",
    "sleeps": "function f() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }",
    "memory": "function f() { const a = []; for (;;) a.push(new Array(1e5).fill(1)); }",
    "buffers": "function f() { const a = []; for (;;) a.push(Buffer.alloc(1 << 24, 1)); }",
    "recursion": "function f() { return f() + 1; }",
    "prints": "function f() { for (;;) console.log('0123456789'.repeat(100)); }",
    "forks": "function f() { for (;;) require('child_process').spawn(process.execPath, ['-e', 'for(;;);']); }",
    "workers": "function f() { const { Worker } = require('worker_threads'); for (;;) new Worker('for(;;);', { eval: true }); }",
    "files": "function f() { for (let n = 0; ; n++) fs.writeFileSync('/tmp/' + n, Buffer.alloc(1 << 16)); }",
    "an expression that backtracks": "function f() { return /^(a+)+$/.test('a'.repeat(60) + 'b'); }",
    "microtasks": "function f() { return new Promise(() => { const g = () => Promise.resolve().then(g); g(); }); }",
    "a deep source": "const x = " + "[" * 100_000 + "]" * 100_000 + ";\n" + WRONG,
}  # fmt: skip
FORGEABLE: dict[str, str] = {}

QUICK = {**EXITS, **PATCHES, **VALUES, **FORGERS, **HOST}
SLOW = RESOURCES
IN_PROCESS = False


def EMPTY(prompt: str) -> str:
    """A completion whose function has an empty body."""
    return "}" if prompt.rstrip().endswith("{") else "{}"


HONEST = {
    "passed": ("const f = (x) => x + {0};", "console.assert(f(1) === {0} + 1);"),
    "failed": ("function f(x) {{ return x; }}", "console.assert(f(1) === {0} + 2, 'no');"),
    "error": ("function f(x) {{ throw new TypeError('number {0}'); }}", "console.assert(f(1) === {0});"),
    "compile-error": ("function f(x) {{ return {0} {0}; }}", "console.assert(f(1) === {0});"),
    "early-exit": ("function f(x) {{ process.exit(0 * {0}); }}", "console.assert(f(1) === {0});"),
}
