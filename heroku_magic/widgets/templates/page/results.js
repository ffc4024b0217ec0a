// Draws what a run sent: rows as a table and as CSV, files, and the failure with the lines of source around it.

import { writeJson } from "./exact_json.js";

const SHOWN_ROWS = 100;
const PICTURES = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", svg: "image/svg+xml" };

// Yields the column names, then the values of each row; a value that is missing is null.
export function* tableOf(parts) {
  const names = [...new Set(parts.flatMap(namesOf))];
  yield names;
  for (const part of parts) {
    if (Array.isArray(part)) {
      for (const row of part) yield names.map(name => row[name] ?? null);
    } else {
      const columns = names.map(name => part.columns.find(column => column.name === name)?.value ?? (() => null));
      for (let row = 0; row < part.rows; row++) yield columns.map(value => value(row) ?? null);
    }
  }
}

function namesOf(part) {
  return Array.isArray(part) ? [...new Set(part.flatMap(row => Object.keys(row)))] : part.columns.map(one => one.name);
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
  const kind = PICTURES[name.split(".").at(-1).toLowerCase()];
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
  element.textContent = text;
  return element;
}
