// Draws what a run sent: rows as a table and as CSV, files, and the failure with the lines of source around it.

import { writeJson } from "./exact_json.js";

const SHOWN_ROWS = 100;
const PICTURES = new Map([
  ["png", "image/png"], ["jpg", "image/jpeg"], ["jpeg", "image/jpeg"], ["gif", "image/gif"], ["webp", "image/webp"],
  ["svg", "image/svg+xml"],
]);

// What may reorder or hide what a reader sees, as the notebook shows it: an escape each.
const HOSTILE = new RegExp(
  "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\p{Cs}\\ufffe\\uffff\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5" +
    "\\u180b-\\u180f\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\u{13430}-\\u{13440}\\u{1bca0}-\\u{1bca3}" +
    "\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]",
  "gu",
);

export function clean(text) {
  return text.replace(HOSTILE, one => {
    const code = one.codePointAt(0);
    const hex = code.toString(16);
    return code > 0xffff ? `\\U${hex.padStart(8, "0")}` : code > 0xff ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`;
  });
}

// Yields the titles of the columns, then the values of each row; a value that is missing is null.
export function* tableOf(parts) {
  const titles = new Map(parts.flatMap(titlesOf));
  const names = [...titles.keys()];
  yield [...titles.values()];
  for (const part of parts) {
    if (Array.isArray(part)) {
      for (const row of part) yield names.map(name => (Object.hasOwn(row, name) ? row[name] : null));
    } else {
      const columns = names.map(name => part.columns.find(column => column.name === name)?.value ?? (() => null));
      for (let row = 0; row < part.rows; row++) yield columns.map(value => value(row) ?? null);
    }
  }
}

// Names that differ may have one title, as the labels 5 and "5" do.
function titlesOf(part) {
  if (!Array.isArray(part)) return part.columns.map(({ name, title }) => [name, title]);
  return [...new Set(part.flatMap(row => Object.keys(row)))].map(name => [name, name]);
}

export function show(value) {
  if (value === null) return "";
  return typeof value === "string" ? value : writeJson(value);
}

// https://www.rfc-editor.org/rfc/rfc4180
export function csvOf(parts, mask) {
  const lines = [];
  for (const row of tableOf(parts)) {
    lines.push(row.map(value => mask(show(value))).map(quoteCell).join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

function quoteCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function drawTable(parts, rowCount, mask) {
  const table = make("table");
  const rows = tableOf(parts);
  table.createTHead().append(drawRow(rows.next().value, "th", mask));
  const body = table.createTBody();
  for (const row of rows) {
    if (body.childElementCount === SHOWN_ROWS) break;
    body.append(drawRow(row, "td", mask));
  }
  const rest = rowCount > SHOWN_ROWS ? `The first ${SHOWN_ROWS} of ${rowCount.toLocaleString("en")} rows; the CSV has all.` : "";
  table.createCaption().textContent = rest;
  return table;
}

function drawRow(values, tag, mask) {
  const row = make("tr");
  for (const value of values) {
    const cell = make(tag, mask(show(value)));
    if (tag === "th") cell.scope = "col";
    if (["number", "bigint"].includes(typeof value)) cell.className = "number";
    row.append(cell);
  }
  return row;
}

export function drawFile(name, content) {
  const kind = PICTURES.get(name.split(".").at(-1).toLowerCase());
  const figure = make("figure");
  if (kind) {
    const picture = make("img");
    picture.src = URL.createObjectURL(new Blob([content], { type: kind }));
    picture.alt = name;
    figure.append(picture);
  }
  figure.append(link(`Download ${name}`, name, content));
  return figure;
}

// A link that downloads, and never opens, what may be HTML.
export function link(text, name, content, type = "application/octet-stream") {
  const anchor = make("a", text);
  anchor.download = name;
  anchor.href = URL.createObjectURL(new Blob([content], { type }));
  return anchor;
}

export function drawFailure({ type, message, frames = [] }, mask) {
  const lines = [`${type}: ${message}`];
  const frame = frames.at(-1);
  if (frame) {
    lines.push(`  ${frame.file}:${frame.line}  in ${frame.function}`);
    for (const [number, text] of frame.source ?? []) lines.push(`${number === frame.line ? "→" : " "} ${number} | ${text}`);
  }
  return make("pre", mask(lines.join("\n")));
}

export function make(tag, text = "") {
  const element = document.createElement(tag);
  element.textContent = clean(text);
  return element;
}
