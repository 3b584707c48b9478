"use strict";
// Data of runs is only ever put into the page as text: textContent, attributes, values; never as markup.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children); // strings become text
  return made;
};

// ------------------------------------------------------------------------------------------------------- tables

const collator = new Intl.Collator("en", { numeric: true });

const compare = (a, b, sign) => {
  const [x, y] = [a.dataset.order, b.dataset.order];
  if (x === undefined && y === undefined) return sign * collator.compare(a.textContent, b.textContent);
  if (!x || !y) return !x - !y; // what is undefined or does not apply comes last, either way
  return sign * (Number(x) - Number(y));
};

const sortBy = (table, heading, direction) => {
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction);
  const column = Number(heading.dataset.column);
  const sign = direction === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column], sign)));
};

const makeSortable = (table) => {
  for (const heading of table.tHead.querySelectorAll("th[data-column]")) {
    const button = element("button", { type: "button" }, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") === "ascending";
      sortBy(table, heading, up ? "descending" : "ascending");
    });
  }
};

const labelled = (text, control) => element("label", {}, text, control);

const choice = (text, options, changed, chosen = options[0]?.[0]) => {
  const select = element("select", {});
  select.addEventListener("change", () => changed());
  for (const [value, shown] of options) select.append(element("option", { value }, shown));
  if (chosen !== undefined) select.value = chosen;
  return { select, label: labelled(text, select) };
};

const matches = (text, words) => words.every((word) => text.toLowerCase().includes(word));
const wordsOf = (input) => input.value.toLowerCase().split(/\s+/).filter(Boolean);

const makeFilterable = (section) => {
  const [table, bar] = [section.querySelector("table"), section.querySelector(".filters")];
  const rows = [...table.tBodies[0].rows];
  const facets = [];
  for (const heading of table.tHead.querySelectorAll("th.stub[data-column]")) {
    const column = Number(heading.dataset.column);
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))].sort(collator.compare);
    if (values.length < 2) continue;
    const options = [["", "all"], ...values.map((value) => ["=" + value, value || "none"])];
    const { select, label } = choice(heading.textContent, options, () => apply());
    facets.push({ column, select });
    bar.append(label);
  }
  const text = element("input", { type: "search", placeholder: "words" });
  const count = element("output", { "aria-live": "polite", class: "faint" });
  bar.prepend(labelled("text", text));
  bar.append(count);
  const apply = () => {
    const words = wordsOf(text);
    for (const row of rows) {
      const chosen = facets.every(({ column, select }) => !select.value || select.value === "=" + row.cells[column].textContent);
      row.hidden = !(chosen && matches(row.textContent, words));
    }
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} runs`;
  };
  text.addEventListener("input", apply);
  bar.hidden = false;
  apply();
};

// ----------------------------------------------------------------------------------------------------- problems

const unpack = async (text) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

// The mean score of a run's completions: its pass rate, or a metric of texts.
const scoreOf = (problem, run) => {
  const scores = problem.runs[run]?.[1].map((place) => problem.outcomes[place][3]) ?? [null];
  return scores.includes(null) ? null : scores.reduce((sum, each) => sum + each, 0) / scores.length;
};

const nameOf = (problem) => problem.name ?? `problem ${problem.doc}`;
const routeOf = (task, problem) => `#/problem/${encodeURIComponent(task)}/${encodeURIComponent(problem.doc)}`;

const CHANGES = {
  all: () => true,
  changed: (change) => change !== null && change !== 0,
  lost: (change) => change !== null && change < 0,
  won: (change) => change !== null && change > 0,
};

const numberCell = (value, text, kind) =>
  element("td", { class: kind ? `number ${kind}` : "number", "data-order": value === null ? "" : value }, text);

// A change with its sign, and a shape that tells it without colour.
const signed = (change, text) => (change > 0 ? `▲ +${text}` : change < 0 ? `▼ ${text}` : text);

const problemTable = (task, problems, metric, [first, second], kind, words) => {
  const rows = problems
    .map((problem) => ({ problem, scores: [scoreOf(problem, first), scoreOf(problem, second)] }))
    .map((row) => ({ ...row, change: row.scores.includes(null) ? null : row.scores[1] - row.scores[0] }))
    .filter((row) => CHANGES[kind](row.change))
    .filter(({ problem }) => matches([nameOf(problem), problem.level ?? "", ...problem.prompts].join("\n"), words))
    .sort((a, b) => (a.change ?? Infinity) - (b.change ?? Infinity));
  const unit = metric ?? "pass@1 %";
  const shown = (score) => (score === null ? "" : (metric ? score : 100 * score).toFixed(1));
  const levels = problems.some((problem) => problem.level !== null);
  const stubs = levels ? ["problem", "level"] : ["problem"];
  const heads = [...stubs, metric ? "change" : "change, points", `first run, ${unit}`, `second run, ${unit}`];
  const table = element("table", { class: "sortable" },
    element("thead", {}, element("tr", {}, ...heads.map((text, column) =>
      element("th", { scope: "col", "data-column": column, class: column < stubs.length ? "stub" : null }, text)))),
    element("tbody", {}, ...rows.map(({ problem, scores, change }) => element("tr", {},
      element("td", { class: "stub" }, element("a", { href: routeOf(task, problem) }, nameOf(problem))),
      ...(levels ? [element("td", { class: "stub" }, problem.level ?? "")] : []),
      numberCell(change, signed(change, shown(change)), change < 0 ? "lost" : change > 0 ? "won" : null),
      ...scores.map((score) => numberCell(score, shown(score), null))))));
  makeSortable(table);
  return { table, count: `${rows.length} of ${problems.length} problems` };
};

const runsOf = (data, task) => data.runs.map((run, number) => ({ ...run, number }))
  .filter(({ number }) => data.problems[task].some((problem) => problem.runs[number]));

const showProblems = (data) => {
  const [bar, place] = [document.getElementById("problem-filters"), document.getElementById("problem-list")];
  const tasks = Object.keys(data.problems);
  if (!tasks.length) {
    place.append("No run here has completions.");
    return;
  }
  const task = choice("task", tasks.map((name) => [name, name]), () => begin());
  const kind = choice("problems", Object.keys(CHANGES).map((name) => [name, name]), () => apply());
  const text = element("input", { type: "search", placeholder: "words of name or prompt" });
  const count = element("output", { "aria-live": "polite", class: "faint" });
  let pair = [];
  const apply = () => {
    const chosen = pair.map(({ select }) => select.value);
    const name = task.select.value;
    const made = problemTable(name, data.problems[name], data.metrics[name], chosen, kind.select.value, wordsOf(text));
    place.replaceChildren(made.table);
    count.textContent = made.count;
  };
  const begin = () => {
    const runs = runsOf(data, task.select.value);
    const second = runs.find((run) => run.against !== null) ?? runs[1] ?? runs[0];
    const first = second.against ?? runs[0].number;
    const options = runs.map(({ number, label }) => [number, label]);
    pair = [choice("first run", options, apply, first), choice("second run", options, apply, second.number)];
    bar.replaceChildren(task.label, ...pair.map(({ label }) => label), kind.label, labelled("text", text), count);
    apply();
  };
  text.addEventListener("input", apply);
  bar.hidden = false;
  begin();
};

// -------------------------------------------------------------------------------------------------- one problem

// Lines of both texts in order, as [mark, line]: " " in both, "-" in the first only, "+" in the second only.
const difference = (first, second) => {
  const [a, b] = [first.split("\n"), second.split("\n")];
  if (a.length * b.length > 4e6) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  const wide = b.length + 1; // common[i * wide + j]: the longest common subsequence of a from i and b from j
  const common = new Uint32Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * wide + j] = a[i] === b[j] ? common[(i + 1) * wide + j + 1] + 1
        : Math.max(common[(i + 1) * wide + j], common[i * wide + j + 1]);
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) lines.push([" ", a[i++], j++]);
    else if (j === b.length || (i < a.length && common[(i + 1) * wide + j] >= common[i * wide + j + 1])) lines.push(["-", a[i++]]);
    else lines.push(["+", b[j++]]);
  }
  return lines;
};

const CLASSES = { "+": "add", "-": "del", " ": "same" };

const showDifference = (first, second) => element("pre", { class: "diff" },
  ...difference(first, second).map(([mark, line]) => element("span", { class: CLASSES[mark] }, `${mark} ${line}`)));

const verdict = ([, status, detail]) => [status, detail].filter(Boolean).join(": ");

// A shape and a colour for what passed and what did not; texts that are scored otherwise have neither.
const passing = ([, status]) => (status === null ? null : status === "passed");
const SHAPES = { true: "✓", false: "✗", null: "" };
const classOf = (passes) => (passes === null ? null : passes ? "passed" : "failed");
const shapeOf = (outcome) => element("span", { class: classOf(passing(outcome)) }, SHAPES[passing(outcome)]);

// One distinct completion of a run; `partner` is what the run it is compared with wrote for the same sample.
const showOutcome = (outcome, samples, of, partner, against) => {
  const [completion] = outcome;
  const solution = outcome[4];
  const kind = classOf(passing(outcome));
  const box = element("div", { class: kind ? `outcome of-${kind}` : "outcome" },
    element("p", {}, element("span", { class: kind ? `verdict ${kind}` : "verdict" },
      [SHAPES[passing(outcome)], verdict(outcome) || "not run"].filter(Boolean).join(" ")),
      ` in ${samples.length} of ${of} samples (${samples.map((sample) => sample + 1).join(", ")})`));
  if (!partner) box.append(element("pre", {}, completion));
  else if (partner[0] === completion)
    box.append(element("pre", {}, completion), element("p", { class: "faint" }, `As ${against} in sample ${samples[0] + 1}.`));
  else box.append(element("details", {}, element("summary", {}, "whole completion"), element("pre", {}, completion)),
    element("p", { class: "faint" }, `Against ${against}, sample ${samples[0] + 1} (${verdict(partner) || "not run"}):`),
    showDifference(partner[0], completion));
  if (typeof solution === "string") box.append(element("details", {}, element("summary", {}, "the program that was run"),
    element("pre", {}, solution)));
  return box;
};

const showRun = (data, problem, number, base, open) => {
  const [prompt, places] = problem.runs[number];
  const other = base === number ? undefined : problem.runs[base];
  const samples = new Map();
  places.forEach((place, sample) => samples.set(place, [...(samples.get(place) ?? []), sample]));
  const score = scoreOf(problem, number);
  const metric = data.metrics[data.runs[number].task];
  const passed = score === null ? "" : metric ? `${metric} ${score.toFixed(1)}, `
    : `${Math.round(score * places.length)} of ${places.length} passed, `;
  const marks = element("span", { class: "samples" }, ...places.map((place) => shapeOf(problem.outcomes[place])));
  const box = element("details", { class: "run", open: open ? "" : null },
    element("summary", {}, element("b", {}, data.runs[number].label), `: ${passed}${samples.size} distinct `, marks));
  if (problem.prompts[prompt] !== null && prompt > 0)
    box.append(element("p", { class: "faint" }, "Its prompt, against the first one:"),
      showDifference(problem.prompts[0] ?? "", problem.prompts[prompt]));
  for (const [place, own] of [...samples].sort((a, b) => b[1].length - a[1].length))
    box.append(showOutcome(problem.outcomes[place], own, places.length,
      other && problem.outcomes[other[1][own[0]]], base === undefined ? "" : data.runs[base].label));
  return box;
};

// The addresses before and after a problem's, as the list of problems shows them now; else in the task's own order.
const neighbours = (data, task, here) => {
  const listed = [...document.querySelectorAll("#problem-list tbody a")].map((link) => link.getAttribute("href"));
  const all = listed.includes(here) ? listed : data.problems[task].map((problem) => routeOf(task, problem));
  const place = all.indexOf(here);
  return [all[place - 1], all[place + 1]];
};

const showSteps = (data, task, problem) => {
  const [before, after] = problem ? neighbours(data, task, routeOf(task, problem)) : [];
  return element("nav", { class: "steps", "aria-label": "Problems" },
    ...(before ? [element("a", { href: before, rel: "prev" }, "← previous")] : []),
    element("a", { href: "#problems" }, "All problems"),
    ...(after ? [element("a", { href: after, rel: "next" }, "next →")] : []));
};

const folded = (title, text) => element("details", {}, element("summary", {}, title), element("pre", {}, text));

const showProblem = (data, task, doc) => {
  const place = document.getElementById("problem");
  const problem = data.problems[task]?.find((each) => each.doc === doc);
  const steps = showSteps(data, task, problem);
  if (!problem) {
    place.replaceChildren(steps, element("p", {}, "There is no such problem."));
    return;
  }
  const runs = runsOf(data, task).filter(({ number }) => problem.runs[number])
    .sort((a, b) => b.full - a.full || a.number - b.number);
  const others = [["", "full precision"], ...runs.map(({ number, label }) => [number, label])];
  const against = choice("differences to", others, () => apply());
  const list = element("div", { id: "runs" });
  const apply = () => {
    const chosen = against.select.value;
    list.replaceChildren(...runs.map(({ number, against: own }, place) =>
      showRun(data, problem, number, chosen === "" ? own ?? undefined : Number(chosen), place < 3)));
  };
  apply();
  const prompt = problem.prompts[0];
  place.replaceChildren(steps, element("h2", {}, `${task}: ${nameOf(problem)}`),
    ...(problem.level === null ? [] : [element("p", {}, `Level: ${problem.level}`)]),
    ...(prompt === null ? [] : [element("h3", {}, "Prompt"), element("pre", { class: "prompt" }, prompt)]),
    ...(problem.tests === null ? [] : [folded("Tests", problem.tests)]),
    ...(problem.reference === null ? [] : [folded("Reference", String(problem.reference))]),
    element("h3", {}, "Completions"), element("div", { class: "filters" }, against.label), list);
};

// -------------------------------------------------------------------------------------------------------- begin

const route = (data) => {
  const [, kind, task, doc] = location.hash.split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  const one = location.hash.startsWith("#/problem/") && kind === "problem";
  for (const part of ["top", "report"]) document.getElementById(part).hidden = one;
  document.getElementById("problem").hidden = !one;
  if (one) {
    showProblem(data, task, doc);
    scrollTo(0, 0);
  } else if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
};

const begin = async () => {
  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
  for (const table of document.querySelectorAll("table.filterable")) makeFilterable(table.closest("section"));
  const data = await unpack(document.getElementById("data").textContent);
  showProblems(data);
  addEventListener("hashchange", () => route(data));
  route(data);
  document.documentElement.dataset.ready = "yes";
};

begin();
