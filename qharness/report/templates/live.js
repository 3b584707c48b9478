"use strict";
// Asks for the study's state every two seconds, and loads the report again when there is a new one.

const SECONDS = 2;
const element = (id) => document.getElementById(id);
let shown = 0; // the number of the report that is on the page

function cells(job) {
  const counted = job.state === "running" && job.total;
  return [
    [job.model], [job.quant], [job.task], [String(job.seed)],
    [job.state === "running" && job.work ? `${job.state}: ${job.work}` : job.state, job.state],
    [counted ? `${job.done} of ${job.total}` : ""],
    [job.seconds === null ? "" : job.seconds.toFixed(0)],
    [job.result],
  ];
}

function showJobs(jobs) {
  element("rows").replaceChildren(...jobs.map((job) => {
    const row = document.createElement("tr");
    for (const [text, kind] of cells(job)) {
      const cell = row.insertCell();
      cell.textContent = text;
      if (kind) cell.className = kind;
    }
    return row;
  }));
}

function summary(state) {
  const count = (name) => state.jobs.filter((job) => job.state === name).length;
  const parts = [`${count("done")} of ${state.jobs.length} done`];
  if (count("running")) parts.push(`${count("running")} running`);
  if (count("failed")) parts.push(`${count("failed")} failed`);
  if (state.over) parts.push("the study is over");
  if (state.report.error) parts.push(`no new report: ${state.report.error}`);
  return parts.join(", ");
}

function showReport(number) {
  if (number === shown) return;
  const frame = element("report"), first = frame.hidden;
  const place = first ? 0 : frame.contentWindow.scrollY;
  element("none").hidden = true;
  frame.hidden = false;
  shown = number;
  frame.onload = () => frame.contentWindow.scrollTo(0, place);
  if (first) frame.src = "/report/";
  else frame.contentWindow.location.reload();
}

async function refresh() {
  try {
    const state = await (await fetch("/state.json")).json();
    document.title = element("title").textContent = state.title;
    showJobs(state.jobs);
    showReport(state.report.number);
    element("summary").textContent = summary(state);
  } catch {
    element("summary").textContent = "The study's process has ended, or is not to be reached. What is below is the last state.";
  }
  setTimeout(refresh, 1000 * SECONDS);
}

element("jobs").open = window.innerWidth >= 600; // on a phone, the report comes first
refresh();
