'use strict';
/*
 * Whether the language's own objects are as they were. A program may add methods to prototypes, as some do, but not
 * replace one, nor add what others look for: to Object.prototype, under a symbol, or a name that conversion goes by.
 */
const { Script } = require('vm');

const { getOwnPropertyDescriptor, getPrototypeOf, is, hasOwn } = Object;
const { apply, ownKeys } = Reflect;
const { has } = Set.prototype;

const GLOBALS = [
  'AggregateError', 'Array', 'ArrayBuffer', 'Atomics', 'BigInt', 'BigInt64Array', 'BigUint64Array', 'Boolean',
  'DataView', 'Date', 'Error', 'EvalError', 'FinalizationRegistry', 'Float32Array', 'Float64Array', 'Function',
  'Int16Array', 'Int32Array', 'Int8Array', 'JSON', 'Map', 'Math', 'Number', 'Object', 'Promise', 'Proxy', 'RangeError',
  'ReferenceError', 'Reflect', 'RegExp', 'Set', 'SharedArrayBuffer', 'String', 'Symbol', 'SyntaxError', 'TypeError',
  'URIError', 'Uint16Array', 'Uint32Array', 'Uint8Array', 'Uint8ClampedArray', 'WeakMap', 'WeakRef', 'WeakSet',
  'decodeURI', 'decodeURIComponent', 'encodeURI', 'encodeURIComponent', 'escape', 'eval', 'isFinite', 'isNaN',
  'parseFloat', 'parseInt', 'unescape', 'undefined', 'NaN', 'Infinity',
];
const MORE = ['Buffer', 'console', 'process', 'queueMicrotask', 'require', 'setImmediate', 'setTimeout', 'structuredClone'];
const FREE = new Set(['stackTraceLimit', 'prepareStackTrace', 'captureStackTrace']); // of Error: no test goes by them
const NAMELESS = [
  [][Symbol.iterator](), new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ''[Symbol.iterator](),
  'a'.matchAll(/a/g), function* () {}, async function () {}, async function* () {}, new Uint8Array(),
];
const CONVERTING = new Set(['toJSON', 'then', ...ownKeys(Object.prototype)]);

/** Each property of `owner`, except what a program may set: its name's text, whether it holds a value, and what. */
function rows(owner, label) {
  return ownKeys(owner)
    .filter((key) => !FREE.has(key))
    .map((key) => {
      const held = getOwnPropertyDescriptor(owner, key);
      const plain = hasOwn(held, 'value');
      return { owner, key, label: `${label}.${String(key)}`, plain, value: plain ? held.value : held.get, set: held.set };
    });
}

/** What to compare later: of all that the language's globals hold, and of the modules and globals that tests name. */
exports.watch = function watch(words, modules) {
  const named = [...GLOBALS, ...MORE.filter((name) => words.has(name))];
  const seen = new Map();
  const queue = [...GLOBALS.map((name) => [globalThis[name], name]), ...modules.map((each) => [each, 'module'])];
  for (const start of NAMELESS) for (let at = getPrototypeOf(start); at; at = getPrototypeOf(at)) queue.push([at, '(iterator)']);
  const found = [];
  while (queue.length > 0) {
    const [owner, label] = queue.pop();
    if (owner === null || !['object', 'function'].includes(typeof owner) || seen.has(owner)) continue;
    seen.set(owner, { owner, label, above: getPrototypeOf(owner), keys: new Set(ownKeys(owner)) });
    for (const row of rows(owner, label)) {
      found.push(row);
      const inner = row.value;
      const holder = typeof inner === 'function' ? hasOwn(inner, 'prototype') : true;
      if (row.plain && holder && !modules.includes(owner)) queue.push([inner, row.label]);
    }
  }
  for (const name of named) {
    const held = getOwnPropertyDescriptor(globalThis, name);
    const plain = hasOwn(held, 'value');
    found.push({ owner: globalThis, key: name, label: name, plain, value: plain ? held.value : held.get, set: held.set });
  }
  const values = named.filter((name) => words.has(name)).map((name) => ({ name, value: globalThis[name], script: new Script(name) }));
  return { rows: found, owners: [...seen.values()], values };
};

function mayAdd(owner, key) {
  return typeof key === 'string' && owner !== Object.prototype && !apply(has, CONVERTING, [key]);
}

/** The name of something that is not as it was; empty where all is. */
exports.changed = function changed(watched) {
  const { owners } = watched;
  for (let i = owners.length - 1; i >= 0; i--) {
    const { owner, label, above, keys } = owners[i];
    if (getPrototypeOf(owner) !== above) return `the prototype of ${label}`;
    const now = ownKeys(owner);
    if (now.length === keys.size) continue; // of those that were, each is looked at below
    for (let j = 0; j < now.length; j++) {
      if (!apply(has, keys, [now[j]]) && !apply(has, FREE, [now[j]]) && !mayAdd(owner, now[j])) return label;
    }
  }
  for (let i = 0; i < watched.rows.length; i++) {
    const row = watched.rows[i];
    const now = getOwnPropertyDescriptor(row.owner, row.key);
    if (now === undefined || hasOwn(now, 'value') !== row.plain) return row.label;
    if (!is(row.plain ? now.value : now.get, row.value)) return row.label;
    if (!row.plain && now.set !== row.set) return row.label;
  }
  return '';
};

/** The first global that tests name and a declaration of the program's hides; empty where there is none. */
exports.shadowed = function shadowed(watched) {
  for (let i = 0; i < watched.values.length; i++) {
    const { name, value, script } = watched.values[i];
    if (!is(script.runInThisContext(), value)) return name;
  }
  return '';
};
