// Values that cross between the tests' process and the program's, as text: what `peer` makes of them.
//
// This file is one function expression. Both sides evaluate it in the realm whose objects they deal in, before any other
// code runs there, and call the result with (write, read): these send one line and wait for one.
//
// A message is an array: ["ask", operation, values, changes] or ["answer", value, changes] or ["throw", value, changes].
// An encoded value is a primitive of JSON, or an array that begins with its kind. `changes` holds the present content
// of the objects that the message answered has brought, so that what one side changes in place changes on the other.
(() => {
  "use strict";
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const { apply, construct, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const { is } = Object;
  const objectPrototype = Object.prototype;
  const arrayPrototype = Array.prototype;
  const bound = (method) => Function.prototype.call.bind(method);
  const getter = (prototype, name) => bound(getOwnPropertyDescriptor(prototype, name).get);
  const time = bound(Date.prototype.getTime);
  const mapEntries = bound(Map.prototype.entries);
  const mapSet = bound(Map.prototype.set);
  const mapClear = bound(Map.prototype.clear);
  const setValues = bound(Set.prototype.values);
  const setAdd = bound(Set.prototype.add);
  const setClear = bound(Set.prototype.clear);
  const source = getter(RegExp.prototype, "source");
  const flags = getter(RegExp.prototype, "flags");
  const typedPrototype = getPrototypeOf(Uint8Array.prototype);
  const typedName = getter(typedPrototype, Symbol.toStringTag);
  const then = bound(Promise.prototype.then);
  const text = String;
  const Bytes = { Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array };
  const Errors = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const kinds = new Map([[objectPrototype, "object"], [null, "bare"], [arrayPrototype, "array"],
    [Date.prototype, "date"], [RegExp.prototype, "regexp"], [Map.prototype, "map"], [Set.prototype, "set"],
    [Promise.prototype, "promise"]]);
  for (const each of Object.values(Bytes)) kinds.set(each.prototype, "bytes");
  const kindOfPrototype = kinds.get.bind(kinds);
  const Table = Map;
  const tableGet = bound(Map.prototype.get);
  const tableHas = bound(Map.prototype.has);
  const push = (list, value) => { list[list.length] = value; };

  // What a value crosses as; "handle" if it stays where it is.
  const kindOf = (value) => {
    if (typeof value === "function") return "handle";
    let prototype;
    try {
      prototype = getPrototypeOf(value);
    } catch {
      return "handle";
    }
    const kind = kindOfPrototype(prototype);
    if (kind) return kind;
    return value instanceof Error ? "error" : "handle";
  };

  return (write, read, operations) => {
    const ours = new Table(); // our objects with a handle, by number; and their numbers
    const numbers = new Table();
    let stranger = () => undefined; // makes a stand-in for the other side's object
    const theirs = new Table();
    const peer = { ask, serve, used: () => {}, setStranger: (made) => { stranger = made; }, held, kindOf };

    function held(number) {
      return tableGet(ours, number);
    }

    function numberOf(value) {
      if (!tableHas(numbers, value)) {
        mapSet(numbers, value, numbers.size);
        mapSet(ours, numbers.size - 1, value);
      }
      return tableGet(numbers, value);
    }

    // `known`: the objects of this exchange, by number, and their numbers. They have an entry from when they are begun.
    function encoder(known) {
      const encode = (value) => {
        switch (typeof value) {
          case "string": case "boolean": return value;
          case "number": return value !== value || value === Infinity || value === -Infinity || is(value, -0)
            ? ["number", is(value, -0) ? "-0" : text(value)] : value;
          case "undefined": return ["undefined"];
          case "bigint": return ["bigint", text(value)];
          case "symbol": return ["handle", numberOf(value), "symbol", text(value.description)];
          default: if (value === null) return null;
        }
        if (theirs.size && tableHas(theirs, value)) return ["yours", tableGet(theirs, value)];
        if (tableHas(known.numbers, value)) return ["known", tableGet(known.numbers, value)];
        const kind = kindOf(value);
        if (kind === "handle") {
          return ["handle", numberOf(value), typeof value, typeof value === "function" ? text(value.name) : ""];
        }
        if (kind === "promise") return ["promise", numberOf(value)];
        const number = known.objects.length;
        push(known.objects, value);
        mapSet(known.numbers, value, number);
        return [kind, number, content(value, kind)];
      };
      const content = (value, kind) => {
        const made = [];
        switch (kind) {
          case "array": {
            const length = value.length;
            for (const key of ownKeys(value)) {
              if (key !== "length" && typeof key === "string") push(made, [key, encode(value[key])]);
            }
            return [length, made];
          }
          case "object": case "bare":
            for (const key of ownKeys(value)) {
              const found = getOwnPropertyDescriptor(value, key);
              if (typeof key === "string" && found.enumerable) push(made, [key, encode(value[key])]);
            }
            return made;
          case "map":
            for (const [key, each] of mapEntries(value)) push(made, [encode(key), encode(each)]);
            return made;
          case "set":
            for (const each of setValues(value)) push(made, encode(each));
            return made;
          case "date": return encode(time(value));
          case "regexp": return [source(value), flags(value), encode(value.lastIndex)];
          case "bytes": {
            for (let at = 0; at < value.length; at++) push(made, encode(value[at]));
            return [typedName(value), made];
          }
          default: return [text(value.name), text(value.message), encode(value.code)];
        }
      };
      return { encode, content };
    }

    function decoder(known) {
      const put = (object, key, value) =>
        defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      const fill = (value, kind, body) => {
        switch (kind) {
          case "array": {
            const [length, entries] = body;
            value.length = 0;
            value.length = length;
            for (const [key, each] of entries) put(value, key, decode(each));
            break;
          }
          case "object": case "bare":
            for (const key of ownKeys(value)) delete value[key];
            for (const [key, each] of body) put(value, key, decode(each));
            break;
          case "map":
            mapClear(value);
            for (const [key, each] of body) mapSet(value, decode(key), decode(each));
            break;
          case "set":
            setClear(value);
            for (const each of body) setAdd(value, decode(each));
            break;
          case "bytes":
            for (let at = 0; at < body[1].length; at++) value[at] = decode(body[1][at]);
            break;
          case "regexp": value.lastIndex = decode(body[2]); break;
          default:
        }
        return value;
      };
      const blank = (kind, body) => {
        switch (kind) {
          case "array": return [];
          case "object": return {};
          case "bare": return Object.create(null);
          case "map": return new Map();
          case "set": return new Set();
          case "date": return new Date(decode(body));
          case "regexp": return new RegExp(body[0], body[1]);
          case "bytes": return new Bytes[body[0]](body[1].length);
          case "error": {
            const [name, message, code] = body;
            const made = new (Object.hasOwn(Errors, name) ? Errors[name] : Error)(message);
            if (made.name !== name) put(made, "name", name);
            const coded = decode(code);
            if (coded !== undefined) put(made, "code", coded);
            return made;
          }
          default: throw new Error(`no such kind of value: ${kind}`);
        }
      };
      const decode = (value) => {
        if (value === null || typeof value !== "object") return value;
        const [kind, number, body, name] = value;
        switch (kind) {
          case "undefined": return undefined;
          case "number": return Number(number);
          case "bigint": return BigInt(number);
          case "yours": return held(number);
          case "known": return known.objects[number];
          case "handle": case "promise": {
            const made = stranger(kind, number, body, name);
            if (made !== null && (typeof made === "object" || typeof made === "function") && kind === "handle") {
              mapSet(theirs, made, number);
            }
            return made;
          }
          default: {
            const made = blank(kind, body);
            known.objects[number] = made;
            mapSet(known.numbers, made, number);
            return fill(made, kind, body);
          }
        }
      };
      return { decode, fill };
    }

    // The content of the objects that came with a message, as it is now.
    function changesOf(known, count) {
      const { content } = encoder(known);
      const changes = [];
      for (let number = 0; number < count; number++) {
        const kind = kindOf(known.objects[number]);
        if (kind !== "error" && kind !== "date") push(changes, [number, kind, content(known.objects[number], kind)]);
      }
      return changes;
    }

    function change(known, changes) {
      const { fill } = decoder(known);
      for (const [number, kind, body] of changes) fill(known.objects[number], kind, body);
    }

    function ask(operation, ...values) {
      const known = { objects: [], numbers: new Table() };
      const { encode } = encoder(known);
      write(stringify(["ask", operation, encode(values)]));
      for (;;) {
        const message = parse(read());
        if (message[0] === "ask") {
          answer(message);
          continue;
        }
        // what the other side changed comes after the new objects of its answer
        const { decode } = decoder(known);
        const value = decode(message[1]);
        change(known, message[2]);
        if (message[0] === "throw") throw value;
        return value;
      }
    }

    function answer([, operation, values]) {
      const known = { objects: [], numbers: new Table() };
      let kind = "answer";
      let value;
      const given = decoder(known).decode(values);
      const count = known.objects.length;
      try {
        if (!Object.hasOwn(operations, operation)) throw new TypeError(`no such operation: ${operation}`);
        value = apply(operations[operation], peer, given);
      } catch (error) {
        [kind, value] = ["throw", error];
      }
      if (value && value.later) { // a promise's end, for which the program's events go on
        then(value.later, (found) => reply(known, count, "answer", found), (error) => reply(known, count, "throw", error));
        return true;
      }
      reply(known, count, kind, value);
      return false;
    }

    function reply(known, count, kind, value) {
      let line;
      try {
        line = stringify([kind, encoder(known).encode(value), changesOf(known, count)]);
      } catch (error) { // a getter of the program's throws, or a structure is deeper than the stack
        line = stringify(["throw", ["error", known.objects.length + 1, ["TypeError", text(error), ["undefined"]]], []]);
      }
      write(line);
      if (waiting) {
        const resume = waiting;
        waiting = null;
        resume();
      }
    }

    // Answer until the other side closes; where an answer waits for events, let them happen.
    let waiting = null;
    function serve() {
      for (;;) {
        const line = read();
        if (line === null) return;
        if (answer(parse(line))) {
          waiting = serve;
          return;
        }
      }
    }

    return peer;
  };
})()
