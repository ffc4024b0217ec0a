// Connects the form to runs: Start and Stop, the log as it arrives, and the result.

import { parseJson } from "./exact_json.js";
import { readFields, readRows, textOf } from "./fields.js";
import { Platform } from "./platform.js";
import { clean, csvOf, drawFailure, drawFile, drawTable, link, make } from "./results.js";
import { Run } from "./run.js";

const LOCAL = /^http:\/\/(?:127\.0\.0\.1|localhost):([1-9]\d{0,4})$/;
const SGR = /\x1b\[[0-9;]*m/g;
const RUN_KEY = /(hm-[0-9a-f]{8}):[0-9a-f]{64}/gi;
const SHOWN_LINES = 1000;
const FRAME = 100; // milliseconds between two drawings

const element = id => document.getElementById(id);
const { task, fields, reserved, apiUrl, shortestSecret } = parseJson(element("declaration").textContent);
const form = element("form");
const button = element("start");
let run = null;
let drawnRows = -1;
let drawing = 0;
let mask = text => text;

// -- where it runs ----------------------------------------------------------------------------------------

// The address of the API, or an error for one that this page must not send a key to.
function findApi() {
  const chosen = new URLSearchParams(location.search).getAll("api-url");
  const url = (chosen[0] ?? apiUrl).replace(/\/$/, "");
  const isLocal = Number(LOCAL.exec(url)?.[1]) < 65_536;
  if (!chosen.length || (chosen.length === 1 && isLocal)) return url;
  throw new Error(
    `"${chosen.join(", ")}" is not an address of an embedded Heroku. This page sends keys to Heroku, ` +
      "or to http://127.0.0.1:PORT or http://localhost:PORT.",
  );
}

function missingFeature() {
  const isComplete = globalThis.crypto?.subtle && globalThis.DecompressionStream;
  if (isComplete) return "";
  return "This browser cannot check results here, so nothing can be started: open the page by https, or from a file.";
}

// -- the form ---------------------------------------------------------------------------------------------

function readForm() {
  const rows = [...form.querySelectorAll(".row")].map(row => ({
    name: row.querySelector(".name").value.trim(),
    value: textOf(row.querySelector(".value")),
  }));
  const { env, faults } = readFields(fields, form, shortestSecret);
  readRows(rows, reserved, env, faults);
  if (!element("app").value.trim()) faults.set("app", "The app is missing: expected the name of a Heroku app.");
  if (!element("key").value.trim()) faults.set("key", "The key is missing: expected a Heroku API key.");
  else if (/[^\x21-\x7e]/.test(element("key").value.trim())) faults.set("key", "The key contains a character that is not valid in a key.");
  return { env, faults };
}

function showFaults(faults) {
  for (const note of form.querySelectorAll(".fault")) {
    const name = note.dataset.for;
    const fault = faults.get(name) ?? "";
    note.textContent = fault && `✗ ${fault}`;
    form.elements[["app", "key"].includes(name) ? name : `value-${name}`]?.setAttribute("aria-invalid", String(Boolean(fault)));
  }
  const first = form.querySelector('[aria-invalid="true"]');
  if (faults.size) first?.focus();
}

function secretMask(env) {
  const names = fields.filter(field => field.control === "secret").map(field => field.name);
  const secrets = [element("key").value.trim(), ...names.map(name => env[name])].filter(text => text?.length >= shortestSecret);
  const asJson = secrets.map(text => JSON.stringify(text).slice(1, -1));
  const hidden = [...secrets, ...asJson].sort((a, b) => b.length - a.length);
  return text => hidden.reduce((masked, secret) => masked.replaceAll(secret, "***"), text).replace(RUN_KEY, "$1:***");
}

function start() {
  const { env, faults } = readForm();
  showFaults(faults);
  if (faults.size) return;
  mask = secretMask(env);
  element("error").replaceChildren();
  element("log").replaceChildren();
  for (const one of element("result").querySelectorAll("a, img")) URL.revokeObjectURL(one.href || one.src);
  element("result").replaceChildren();
  element("output").hidden = false;
  drawnRows = -1;
  const platform = new Platform(findApi(), element("app").value.trim(), element("key").value.trim());
  const mine = (run = new Run(platform, task, mask, () => mine === run && drawSoon()));
  run.complete(env);
  draw();
}

// A button of another type, so that the Enter key in a field never stops a run.
function drawButton(isBusy) {
  button.textContent = isBusy ? "Stop" : "Start";
  button.type = isBusy ? "button" : "submit";
  button.classList.toggle("stop", isBusy);
}

function addRow() {
  const row = element("row").content.cloneNode(true);
  const number = form.querySelectorAll(".row").length + 1;
  for (const label of row.querySelectorAll("span")) label.textContent += ` ${number}`;
  element("rows").append(row);
}

// -- the run ----------------------------------------------------------------------------------------------

function drawSoon() {
  drawing ||= setTimeout(() => {
    drawing = 0;
    draw();
  }, FRAME);
}

function draw() {
  const isBusy = run.state !== "ended";
  drawButton(isBusy);
  element("status").textContent = statusLine();
  drawProgress(isBusy);
  drawLog();
  try {
    if (run.rowCount !== drawnRows && (drawnRows < 100 || !isBusy)) drawRows();
    if (!isBusy) drawEnd();
  } catch (error) {
    element("error").replaceChildren(make("p", mask(`The result cannot be shown: ${error.message}`)));
  }
}

function statusLine() {
  const name = run.dyno?.name;
  const seconds = `${run.seconds.toFixed(1)} s`;
  const rows = run.rowCount === 1 ? "1 row" : `${run.rowCount.toLocaleString("en")} rows`;
  if (run.state !== "ended") return [`● ${run.state}`, name, seconds, run.rowCount && rows].filter(Boolean).join(" · ");
  const isGood = run.status === 0 && !run.error && !run.decoder.problem;
  const mark = run.isStopRequested ? "■ stopped" : isGood ? "✓" : "✗";
  const exit = run.status === null ? "exit status unknown" : `exit ${run.status}`;
  const isVerified = run.decoder?.isComplete && !run.decoder.problem ? " verified" : run.rowCount ? ", not verified" : "";
  const isTable = run.decoder?.parts.length;
  return [`${mark} ${run.dyno ? exit : run.mayRun ? "start unknown" : "did not start"}`, isTable && rows + isVerified, name, seconds].filter(Boolean).join(" · ");
}

function drawProgress(isBusy) {
  const { done, total, text } = run.decoder?.progress ?? {};
  const metrics = [...(run.decoder?.metrics ?? [])].map(([name, value]) => `${name} ${Number(Number(value).toPrecision(6))}`);
  const bar = element("progress");
  bar.hidden = !isBusy || done === undefined;
  bar.max = Number(total) || 1;
  if (total) bar.value = Number(done);
  else bar.removeAttribute("value");
  const counted = bar.hidden ? "" : `${done}${total ? `/${total}` : ""} ${text ?? ""}`;
  element("counted").textContent = clean(mask([counted.trim(), ...metrics].filter(Boolean).join(" · ")));
}

// A line shows what a terminal shows of it: what follows the last carriage return, here without colours.
function drawLog() {
  const box = element("log");
  const isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
  const texts = run.lines.slice(-SHOWN_LINES).map(line => line.replace(/\r+$/, "").split("\r").at(-1).replace(SGR, ""));
  box.textContent = texts.map(clean).join("\n");
  box.hidden = !run.lines.length;
  if (isAtEnd) box.scrollTop = box.scrollHeight;
}

function drawRows() {
  drawnRows = run.rowCount;
  const box = element("table");
  box.replaceChildren();
  box.hidden = !run.decoder?.parts.length;
  if (!box.hidden) box.append(drawTable(run.decoder.parts, run.rowCount, mask));
}

function drawEnd() {
  const { decoder } = run;
  const links = decoder?.parts.length ? [link("Download CSV", `${task.name}.csv`, csvOf(decoder.parts, mask), "text/csv")] : [];
  const files = [...(decoder?.files ?? [])].map(([name, content]) => drawFile(mask(name), content));
  element("result").replaceChildren(...links, ...files);
  element("error").replaceChildren(...sentences().map(text => make("p", text)));
  if (decoder?.failure) element("error").append(drawFailure(decoder.failure, mask));
}

function sentences() {
  const problem = !run.error && run.dyno && (run.decoder.isSigned || run.status === 0) ? run.decoder.problem : "";
  const minutes = task.seconds / 60;
  return [
    run.error,
    run.isLeft && "The dyno was stopped because this page was left.",
    run.isTimedOut && `The run reached its time limit of ${Number(minutes.toFixed(1))} min.`,
    run.exit === null && run.status !== null && "The exit status is the task's own: Heroku's line about it is missing.",
    problem && `The rows cannot be trusted: ${problem}. Start again.`,
    ...run.notes,
  ].filter(Boolean);
}

// -- the page ---------------------------------------------------------------------------------------------

function open() {
  let fault = missingFeature();
  try {
    element("api").textContent = findApi();
  } catch (error) {
    fault ||= error.message;
  }
  if (fault) {
    element("error").replaceChildren(make("p", fault));
    element("output").hidden = false;
    element("target").hidden = true;
    button.disabled = true;
    return;
  }
  form.addEventListener("submit", event => {
    event.preventDefault();
    if (!run || run.state === "ended") start();
  });
  button.addEventListener("click", event => {
    if (button.type !== "button" || event.detail > 1) return; // the second click of a double click on Start
    event.preventDefault();
    run.stop();
  });
  addEventListener("pagehide", () => run?.leave());
  setInterval(() => run && run.state !== "ended" && draw(), 1000);
}

for (const slider of form.querySelectorAll("input[type=range]")) {
  const entry = form.elements[`value-${slider.dataset.for}`];
  slider.addEventListener("input", () => (entry.value = slider.value));
  entry.addEventListener("input", () => (slider.value = entry.value));
}
for (const tick of form.querySelectorAll("[data-none]")) {
  const boxes = form.querySelectorAll(`[name="value-${tick.dataset.none}"], [data-for="${tick.dataset.none}"]:is(input)`);
  const update = () => boxes.forEach(box => (box.disabled = tick.checked));
  tick.addEventListener("change", update);
  update();
}
element("add")?.addEventListener("click", addRow);
open();
