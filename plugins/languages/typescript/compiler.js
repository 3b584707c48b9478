// Checks and translates TypeScript: what `tests.js` prepares a program with. No program runs in here.
"use strict";
const { readFileSync } = require("fs");
const path = require("path");

const folder = process.env.QHARNESS_TYPESCRIPT; // of the compiler and of its declarations
const ts = require(path.join(folder, "typescript.js"));
const target = ts.ScriptTarget.ES2022;
const checking = { target, lib: ["lib.es2022.d.ts"], module: ts.ModuleKind.CommonJS, noEmit: true, skipLibCheck: true,
  types: [], noImplicitAny: false, strict: false, moduleResolution: ts.ModuleResolutionKind.Node10 };
const translating = { target, module: ts.ModuleKind.CommonJS, ignoreDeprecations: "5.0" };
// What Node.js has besides the language's own: of any type, for its declarations may not be installed.
const AROUND = `declare var console: any; declare var process: any; declare var Buffer: any; declare var require: any;
declare var module: any; declare var exports: any; declare var URL: any; declare var TextEncoder: any;
declare var TextDecoder: any; declare var structuredClone: any; declare function queueMicrotask(f: () => void): void;
declare function setTimeout(f: (...a: any[]) => void, t?: number, ...a: any[]): any;
declare function setInterval(f: (...a: any[]) => void, t?: number, ...a: any[]): any;
declare function setImmediate(f: (...a: any[]) => void, ...a: any[]): any;
declare function clearTimeout(t: any): void; declare function clearInterval(t: any): void; declare module "*";`;
const PROGRAM = "/solution.ts";
const NODE = "/around.d.ts";

// Return the first error of the type checker in `text`, or null. `declarations`: the files that several programs share.
function firstError(text, declarations) {
  const file = (name) => {
    if (name === PROGRAM) return ts.createSourceFile(name, text, target, true);
    if (!declarations.has(name)) {
      const content = name === NODE ? AROUND : ts.sys.readFile(name);
      declarations.set(name, content === undefined ? undefined : ts.createSourceFile(name, content, target, true));
    }
    return declarations.get(name);
  };
  const host = {
    getSourceFile: file,
    getDefaultLibFileName: () => path.join(folder, "lib.es2022.d.ts"),
    getDefaultLibLocation: () => folder,
    writeFile: () => {},
    getCurrentDirectory: () => "/",
    getCanonicalFileName: (name) => name,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (name) => name === PROGRAM || name === NODE || name.startsWith(folder),
    readFile: (name) => (name.startsWith(folder) ? ts.sys.readFile(name) : undefined),
    directoryExists: () => false,
    getDirectories: () => [],
  };
  const program = ts.createProgram([NODE, PROGRAM], checking, host);
  const source = program.getSourceFile(PROGRAM);
  const [found] = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  if (!found) return null;
  const { line } = source.getLineAndCharacterOfPosition(found.start ?? 0);
  return `line ${line + 1}: error TS${found.code}: ${ts.flattenDiagnosticMessageText(found.messageText, " ")}`;
}

const shared = new Map();

// Return {source, tests} in JavaScript, or {error}. Only with declarations of its own is a program refused.
module.exports = function prepare(source, tests) {
  const text = `${source}\n${tests}`;
  let error;
  try {
    error = firstError(text, shared) && firstError(text, new Map());
  } catch (thrown) {
    shared.clear();
    error = `the compiler does not survive it: ${thrown && thrown.message}`;
  }
  if (error) return { error };
  const translated = (each) => ts.transpileModule(each, { compilerOptions: translating }).outputText;
  return { source: translated(source), tests: tests && translated(tests) };
};
