// The tests' process: it runs the tests of one program after another, each in a realm of its own, and judges.
//
// It reads lines "job N {source, tests, token}", and "from N LINE" with the lines of program N, or "gone N" at its end. It writes lines
// "to N LINE" for the program, and "end N [status, detail, in process]". The program's values are made anew in the
// tests' realm.
"use strict";
const { readFileSync } = require("fs");
const path = require("path");
const vm = require("vm");
const lines = require(path.join(__dirname, "lines.js"));

const channel = lines(0, 1);
const codec = new vm.Script(readFileSync(path.join(__dirname, "values.js"), "utf8"), { filename: "values.js" });
const NAME = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/gu;
const MODULES = new Set(["assert", "assert/strict", "util", "node:assert", "node:assert/strict", "node:util"]);
const MOST_ASKED = 4000;
const prepare = process.argv.length > 2 ? require(process.argv[2]) : null;

class Gone extends Error {}

class Failed extends Error {}

let number = "";
const send = (line) => channel.write(`to ${number} ${line}`);
const receive = () => {
  for (;;) {
    const line = channel.read();
    if (line === null) process.exit(0);
    if (line === `gone ${number}`) throw new Gone();
    if (line.startsWith(`from ${number} `)) return line.slice(number.length + 6);
  }
};

// Make the realm of one program's tests: its console asserts by throwing, and prints nothing.
function makeRealm(job) {
  const realm = vm.createContext(Object.create(null), { microtaskMode: "afterEvaluate" });
  const silent = () => undefined;
  const failed = (words) => {
    const said = words.map((each) => (typeof each === "string" ? each : "")).join(" ").trim();
    job.failure ??= said ? `console.assert: ${said}` : "console.assert";
    throw new Failed(job.failure);
  };
  const console = Object.create(null);
  for (const name of ["log", "info", "warn", "error", "debug", "table", "group", "groupEnd", "time", "timeEnd", "trace", "dir"]) {
    console[name] = silent;
  }
  console.assert = (value, ...words) => { if (!value) failed(words); };
  const require_ = (name) => {
    if (!MODULES.has(name)) throw new Error(`tests cannot require ${name}`);
    return require(name);
  };
  const given = { console, require: require_, structuredClone, TextEncoder, TextDecoder, URL, URLSearchParams, Buffer };
  for (const [name, value] of Object.entries(given)) define(realm, name, value);
  return realm;
}

function define(realm, name, value) {
  Object.defineProperty(realm, name, { value, writable: true, configurable: true, enumerable: false });
}

// The names in the tests that may be the solution's: those that mean nothing in the realm without it.
function candidates(realm, tests) {
  const names = [...new Set(tests.match(NAME) ?? [])];
  const known = vm.runInContext("(name) => name in globalThis", realm);
  return names.filter((name) => !known(name)).slice(0, MOST_ASKED);
}

// Make stand-ins in the realm for the program's objects; what tests ask of them is the program's own word.
const STAND_INS = new vm.Script(`(peer, job) => (target, number, isFunction, direct) => {
  const used = () => { if (!direct) job.inProcess = true; };
  const self = { mark: number };
  const ask = (operation, ...values) => peer.ask(operation, ...values);
  const made = new Proxy(target, {
    apply: (_, self, values) => { used(); return ask("call", made, self === undefined ? undefined : self, values); },
    construct: (_, values) => { job.inProcess = true; return ask("construct", made, values); },
    get: (_, name) => {
      job.inProcess = true;
      return typeof name === "symbol" ? undefined : ask("get", made, name);
    },
    set: (_, name, value) => { job.inProcess = true; return ask("set", made, name, value); },
    has: (_, name) => { job.inProcess = true; return typeof name === "string" && ask("has", made, name); },
    deleteProperty: (_, name) => { job.inProcess = true; return ask("remove", made, name); },
    ownKeys: () => { job.inProcess = true; return [...new Set([...ask("keys", made), ...Reflect.ownKeys(target)])]; },
    getOwnPropertyDescriptor: (_, name) => {
      job.inProcess = true;
      if (typeof name === "symbol" || !ask("has", made, name)) return Reflect.getOwnPropertyDescriptor(target, name);
      return { value: ask("get", made, name), writable: true, enumerable: true, configurable: true };
    },
  });
  return made;
}`, { filename: "stand-ins.js" });

function judge(given) {
  const job = { inProcess: false, failure: null };
  const { source, tests, error } = prepare ? prepare(given.source, given.tests) : given;
  if (error) return ["compile-error", error, false];
  try {
    send(JSON.stringify({ source, tests: tests !== "", token: given.token }));
    if (tests === "") return whole(given.token);
    const first = JSON.parse(receive());
    if (first[0] !== "loaded") { // it says why it is not; only the tests can say that it passes
      return [["failed", "compile-error"].includes(first[1]) ? first[1] : "error", String(first[2]), false];
    }
    run(tests, job);
  } catch (error) {
    if (error instanceof Gone) return ["gone", "", job.inProcess];
    return [...judged(error, job), job.inProcess];
  }
  return job.failure === null ? ["passed", "", job.inProcess] : ["failed", job.failure, job.inProcess];
}

// A program without tests signs its own end.
function whole(token) {
  for (;;) {
    const [word, status, said] = JSON.parse(receive());
    if (word !== "end") continue;
    if (status === "passed" && said === token) return ["passed", "", true];
    if (["failed", "error", "compile-error"].includes(status)) return [status, String(said), status !== "compile-error"];
  }
}

function run(tests, job) {
  const realm = makeRealm(job);
  const asked = candidates(realm, tests);
  const operations = { call: (number, values) => Reflect.apply(peer.held(number), undefined, values) };
  const peer = codec.runInContext(realm)(send, receive, operations);
  const standIn = STAND_INS.runInContext(realm)(peer, job);
  const blanks = vm.runInContext("({ function: () => function () {}, object: () => ({}) })", realm);
  const made = new Map();
  let direct = true;
  peer.setStranger((kind, number, type, name) => {
    if (kind === "handle" && type === "symbol") return vm.runInContext("(text) => Symbol(text)", realm)(name);
    if (!made.has(number)) made.set(number, standIn(blanks[type === "function" ? type : "object"](), number, type === "function", direct));
    const stand = made.get(number);
    if (kind !== "promise") return stand;
    return settled(realm, peer, number);
  });
  const found = peer.ask("named", vm.runInContext("(text) => JSON.parse(text)", realm)(JSON.stringify(asked)));
  direct = false;
  const names = new Set();
  for (const [name, value] of found) {
    if (!asked.includes(name)) continue;
    Object.defineProperty(realm, name, {
      get: () => { if (names.add(name).size > 1) job.inProcess = true; return value; },
      set: (other) => define(realm, name, other),
      configurable: true,
      enumerable: false,
    });
  }
  const script = new vm.Script(tests, { filename: "tests.js" });
  const ended = script.runInContext(realm);
  finish(realm, ended);
}

// A promise of the program's: its end is waited for at once.
function settled(realm, peer, number) {
  const make = vm.runInContext("({ kept: (v) => Promise.resolve(v), broken: (e) => { const p = Promise.reject(e); p.catch(() => {}); return p; } })", realm);
  let value;
  try {
    value = peer.ask("settleNumber", number);
  } catch (error) {
    if (error instanceof Gone) throw error;
    return make.broken(error);
  }
  return make.kept(value);
}

// Where the tests end in a promise, its end is theirs.
function finish(realm, ended) {
  if (!vm.runInContext("(value) => value instanceof Promise", realm)(ended)) return;
  const state = { done: false, error: null, failed: false };
  realm.watched = [ended, () => { state.done = true; }, (error) => { Object.assign(state, { done: true, failed: true, error }); }];
  vm.runInContext("watched[0].then(watched[1], watched[2]); delete globalThis.watched", realm);
  if (state.failed) throw state.error;
  if (!state.done) throw new Failed("the tests wait for something that never happens");
}

function judged(error, job) {
  if (job.failure !== null) return ["failed", job.failure];
  let words = "an exception that cannot be told";
  try {
    if (error?.code === "ERR_ASSERTION" || error instanceof Failed) return ["failed", String(error.message)];
    words = error && typeof error === "object" ? `${error.name}: ${error.message}` : `uncaught ${String(error)}`;
  } catch (gone) {
    if (gone instanceof Gone) return ["gone", ""];
  }
  return ["error", words];
}

process.on("unhandledRejection", () => undefined);
for (;;) {
  const line = channel.read();
  if (line === null) process.exit(0);
  const [word, job, text] = [...line.split(" ", 2), line.slice(line.indexOf(" ", 4) + 1)];
  if (word !== "job") continue; // what an earlier program has said after its end
  number = job;
  channel.write(`end ${number} ${JSON.stringify(judge(JSON.parse(text)))}`);
}
