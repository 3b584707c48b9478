// The program's process: it holds the solution without its tests, and answers the calls of the tests' process.
"use strict";
const { readFileSync } = require("fs");
const path = require("path");
const vm = require("vm");
const lines = require(path.join(__dirname, "lines.js"));

const codec = vm.runInThisContext(readFileSync(path.join(__dirname, "values.js"), "utf8"), { filename: "values.js" });
const { apply, construct, get, set, has, ownKeys, deleteProperty } = Reflect;
const { Script } = vm;
const resolve = Promise.resolve.bind(Promise);
const text = String;
const channel = lines(3, 3);
const leave = process.reallyExit.bind(process);
const isName = RegExp.prototype.test.bind(/^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u);

const operations = {
  // The value of each of these names in the solution, as [name, value]; names that it does not define are left out.
  named(names) {
    const found = [];
    for (const name of names) {
      if (!isName(name)) continue;
      try {
        found[found.length] = [name, new Script(name).runInThisContext()];
      } catch {
        // it is not defined
      }
    }
    return found;
  },
  call: (handle, self, values) => apply(handle, self, values),
  construct: (handle, values) => construct(handle, values),
  get: (handle, name) => get(handle, name),
  set: (handle, name, value) => set(handle, name, value),
  has: (handle, name) => has(handle, name),
  keys: (handle) => ownKeys(handle).filter((each) => typeof each === "string"),
  remove: (handle, name) => deleteProperty(handle, name),
  lineage(handle) {
    const names = [];
    for (let at = handle; at; at = Object.getPrototypeOf(at)) {
      if (Object.hasOwn(at, "constructor")) names[names.length] = text(at.constructor.name);
    }
    return names;
  },
  settleNumber: (number) => ({ later: resolve(peer.held(number)) }),
};
const peer = codec(channel.write, channel.read, operations);
peer.setStranger((kind, number, type) => {
  if (kind === "promise") return resolve(undefined);
  if (type === "function") return function callback(...values) { return peer.ask("call", number, values); };
  return {};
});

function report(...words) {
  channel.write(JSON.stringify(words));
}

function described(error) {
  try {
    if (error !== null && typeof error === "object" && "message" in error) return `${error.name}: ${error.message}`;
    return `uncaught ${text(error)}`;
  } catch {
    return "an exception that cannot be told";
  }
}

const { source, tests, token } = JSON.parse(channel.read());
process.argv.length = 1;
const module_ = { exports: {} };
for (const [name, value] of Object.entries({ require, module: module_, exports: module_.exports,
  __filename: "/tmp/solution.js", __dirname: "/tmp" })) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}
for (const name of ["stdout", "stderr"]) { // what is printed leaves at once: no event comes while the tests call
  const { get: original } = Object.getOwnPropertyDescriptor(process, name);
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get() {
    const stream = apply(original, process, []);
    stream._handle?.setBlocking?.(true);
    return stream;
  } });
}
let script = null;
try {
  script = new Script(source, { filename: "solution.js", importModuleDynamically: undefined });
} catch (error) {
  report("end", "compile-error", described(error));
  leave(0);
}
if (!tests) {
  process.once("beforeExit", () => { report("end", "passed", token); leave(0); });
}
process.once("uncaughtException", (error) => {
  report("end", error && error.code === "ERR_ASSERTION" ? "failed" : "error", described(error));
  leave(0);
});
try {
  script.runInThisContext();
} catch (error) {
  report("end", error && error.code === "ERR_ASSERTION" ? "failed" : "error", described(error));
  leave(0);
}
if (tests) {
  report("loaded");
  peer.serve();
}
