'use strict';
/*
 * Runs one program inside the sandbox. Reads four lines: the token, the entry class (not used), the source and the tests
 * in base64. The report goes to the standard output that this process started with; what the program prints goes to
 * standard error. Solution and tests are scripts of one realm, so that the tests see what the solution declares.
 *
 * A pass is reported once the tests have run to their end, the promise that they end in (if they do) is fulfilled, and
 * nothing is left to happen. What makes it one is the token, which lies in this file's closure, and no JavaScript reads
 * another's closure: Node's permission model takes files, processes, threads, addons and the inspector away (a command
 * line flag), and here go `process` and all modules that would give the memory or the loader away. As the program
 * shares its objects with the tests, those of the language must be as they were, before the tests, after them and at the
 * end. All that runs after the program has started is captured here, before: no method is looked up on its objects.
 */
const { readSync, writeSync } = require('fs');
const vm = require('vm');
const util = require('util');
const { EventEmitter } = require('events');
const assert = require('assert');
const { watch, changed, shadowed } = require('./intrinsics.js');

const MODULES = new Set([
  'assert', 'assert/strict', 'buffer', 'crypto', 'events', 'path', 'perf_hooks', 'querystring', 'stream',
  'string_decoder', 'timers', 'timers/promises', 'url', 'util',
]);
const LONGEST_DETAIL = 300;
const TOKEN_BYTES = 32;

const { fromCharCode } = String;
const { apply } = Reflect;
const { then } = Promise.prototype;
const { isPromise } = util.types;
const host = process; // `process` will name what programs get
const { reallyExit } = host;
const { AssertionError } = assert;

const token = new Uint8Array(TOKEN_BYTES);

/** Report in the token's name. Indices of a typed array are its own, and a string is written without a look at it. */
function sign(what) {
  let line = '';
  for (let i = 0; i < TOKEN_BYTES; i++) line += fromCharCode(token[i]);
  writeSync(1, `${line} ${what} \n`);
}

/** Report anything but a pass, and end. */
function end(status, detail) {
  writeSync(1, `- ${status} ${detail}\n`);
  reallyExit(0);
}

/** What is wrong, in a line. The program may have thrown anything, getters that throw included. */
function describe(error) {
  try {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`;
    return text.replace(/\s+/g, ' ').slice(0, LONGEST_DETAIL);
  } catch {
    return 'thrown: something that cannot be shown';
  }
}

function fail(error) {
  let status = 'error';
  try {
    if (error instanceof AssertionError) status = 'failed';
  } catch {
    // a proxy that does not want to be looked at
  }
  end(status, describe(error));
}

function fill(bytes) {
  for (let got = 0; got < bytes.length; ) {
    const read = readSync(0, bytes, got, bytes.length - got);
    if (read === 0) reallyExit(2);
    got += read;
  }
}

/** (source, tests): what standard input has after the token. */
function fields() {
  const chunks = [];
  for (const chunk = Buffer.alloc(1 << 16); ; ) {
    const read = readSync(0, chunk, 0, chunk.length);
    if (read === 0) break;
    chunks.push(chunk.toString('latin1', 0, read));
  }
  const [, , source, tests] = chunks.join('').split('\n');
  return [source, tests].map((text) => Buffer.from(text, 'base64').toString('utf8'));
}

function print(text) {
  try {
    writeSync(2, typeof text === 'string' ? text : `${text}`);
  } catch {
    // nobody reads any more
  }
  return true;
}

/** What programs get as `process`. Listeners are not kept: they could swallow what the tests throw later. */
function facade() {
  const nothing = () => shown;
  const stream = { write: print, end: nothing, on: nothing, once: nothing, emit: nothing, isTTY: false, columns: 80 };
  const silent = { on: nothing, once: nothing, setEncoding: nothing, resume: nothing, read: () => null, isTTY: false };
  const shown = {
    argv: ['node', 'solution.js'], env: {}, execArgv: [], title: 'node', pid: 1, exitCode: undefined,
    platform: host.platform, arch: host.arch, version: host.version, versions: { ...host.versions },
    stdout: stream, stderr: stream, stdin: silent,
    cwd: () => '/tmp', uptime: host.uptime.bind(host), memoryUsage: host.memoryUsage.bind(host),
    hrtime: Object.assign(host.hrtime.bind(host), { bigint: host.hrtime.bigint.bind(host) }),
    nextTick: host.nextTick.bind(host), exit: (code = shown.exitCode) => reallyExit(Number(code) & 255),
    on: nothing, once: nothing, off: nothing, addListener: nothing, removeListener: nothing,
    removeAllListeners: nothing, emit: () => false, emitWarning: () => {},
  };
  return shown;
}

/** Give `globalThis` what programs may use, in place of what is there. */
function furnish(shown) {
  const load = require;
  const lend = (name) => {
    const plain = `${name}`.replace(/^node:/, '');
    if (!MODULES.has(plain)) throw new Error(`module ${plain} is not to be had in here`);
    return load(plain);
  };
  const console = new (load('console').Console)({ stdout: shown.stdout, stderr: shown.stdout, ignoreErrors: false });
  const define = (name, value, fixed) =>
    Object.defineProperty(globalThis, name, { value, writable: !fixed, configurable: !fixed, enumerable: false });
  define('process', shown, false);
  define('console', console, false);
  define('require', lend, true); // fixed, so that a solution's own `require` is an error and not the tests'
  for (const each of [assert, assert.strict]) Object.freeze(each);
  // Node calls these on its `process`; a program that replaced the inherited ones would be handed it.
  for (const key of Reflect.ownKeys(EventEmitter.prototype)) {
    const value = EventEmitter.prototype[key];
    if (typeof value === 'function') Object.defineProperty(host, key, { value, writable: false });
  }
}

function compiled(text, filename, status) {
  try {
    return new vm.Script(text, { filename });
  } catch (error) {
    return end(status, describe(error));
  }
}

function main() {
  fill(token);
  const [source, tests] = fields();
  const shown = facade();
  furnish(shown);
  sign('started');
  const solution = compiled(source, 'solution.js', 'compile-error');
  const checks = compiled(`'use strict'; ${tests}`, 'tests.js', 'error'); // strict: their functions are not to be had
  const words = new Set(tests.match(/[A-Za-z_$][\w$]*/g));
  const lent = [...MODULES].filter((name) => words.has(name.split('/')[0])).map((name) => require(name));
  const watched = watch(words, lent);
  const demand = () => {
    const name = changed(watched);
    if (name !== '') end('error', `the program has replaced ${name}`);
  };
  let waiting = true;
  host.setUncaughtExceptionCaptureCallback(fail); // unhandled rejections too, by a command line flag
  host.on('beforeExit', () => {
    demand();
    if (waiting) end('error', 'the promise that the tests end in is never settled');
    if (shown.exitCode) reallyExit(Number(shown.exitCode) & 255);
    sign('passed');
    reallyExit(0);
  });
  try {
    solution.runInThisContext();
    demand();
    const hidden = shadowed(watched);
    if (hidden !== '') end('error', `the program has replaced ${hidden}`);
    const value = checks.runInThisContext();
    demand();
    if (isPromise(value)) apply(then, value, [() => { waiting = false; }, fail]);
    else if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
      end('error', 'the tests end in a promise that is none of the language\'s');
    } else waiting = false;
  } catch (error) {
    fail(error);
  }
}

main();
