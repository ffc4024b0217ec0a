// Decodes a run's records from its log: authenticated, in order, each exactly once. The worker's README describes them.
//
// A line without a valid MAC is only log, whatever it claims to be.

import { parseJson } from "./exact_json.js";
import { readTable } from "./tables.js";

const RECORD = /@hm1 ([0-9a-f]{8}) ([0-9]{1,12}) ([a-z]{1,16}\+?) ([0-9a-f]{24}) (.*)/sy;
const NEWER = /@hm([2-9]|[1-9][0-9]{1,3}) [0-9a-f]{8} [0-9]{1,12} /;
const MOST_BYTES_OF_RECORD = 64_000_000;
const MOST_BYTES_OF_RESULT = 400_000_000;
const MOST_BYTES_OF_FILES = 5_000_000;
const MOST_BYTES_OF_LINE = 10_000; // Logplex cuts longer lines: https://devcenter.heroku.com/articles/limits#dynos
const isText = value => typeof value === "string";
const isNumber = value => ["number", "bigint"].includes(typeof value);
const isFrame = ({ file, line, source = [] }) => isText(file) && isNumber(line) && Array.isArray(source) && source.every(Array.isArray);
// What a record of a kind must contain.
const SHAPES = new Map([
  ["rows", rows => Array.isArray(rows) && rows.every(row => typeof row === "object" && row !== null && !Array.isArray(row))],
  ["progress", ({ done, total, text }) => isNumber(done) && isNumber(total ?? 0) && isText(text ?? "")],
  ["metric", ({ name, value }) => isText(name) && isNumber(value)],
  ["failure", ({ type, message, frames = [] }) => isText(type) && isText(message) && Array.isArray(frames) && frames.every(isFrame)],
  ["end", ({ status, rows, checksum }) => Number.isInteger(status) && Number.isInteger(rows) && isText(checksum)],
]);

export class RunKey {
  // A public id and a secret key, as the dyno receives them in RUN_KEY.
  static async create() {
    const key = new RunKey();
    key.run = `hm-${hex(crypto.getRandomValues(new Uint8Array(4)))}`;
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    key.text = `${key.run}:${hex(bytes)}`;
    key.signer = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return key;
  }

  async signs(nonce, number, kind, mac, payload) {
    const signed = new TextEncoder().encode([this.run, nonce, number, kind, payload].join(" "));
    return hex(await crypto.subtle.sign("HMAC", this.signer, signed)).startsWith(mac);
  }
}

export class RecordDecoder {
  // joins: several processes make one result, as of `a && b`; otherwise it comes from exactly one of them.
  // doubt: why the result cannot be trusted whatever its records are, if the reader of the log knows a reason.
  constructor(key, { joins }) {
    Object.assign(this, { key, joins, processes: new Map(), plain: new PlainRows(), newerVersion: "", doubt: "" });
  }

  // Takes a message of the log, and returns what of it is text; null if all of it is a record.
  async feed(message) {
    const found = await this.find(message);
    if (!found) {
      if (!this.isSigned) this.plain.feed(message.trim());
      return message;
    }
    const [, nonce, number, kind, mac, payload] = found;
    if (!this.processes.has(nonce)) this.processes.set(nonce, new HelperProcess());
    await this.processes.get(nonce).take(Number(number), kind, mac, payload);
    return found.index ? message.slice(0, found.index) : null;
  }

  async find(message) {
    for (let at = message.indexOf("@hm1 "); at >= 0; at = message.indexOf("@hm1 ", at + 1)) {
      RECORD.lastIndex = at;
      const match = RECORD.exec(message);
      if (match && (await this.key.signs(...match.slice(1)))) return match;
    }
    this.newerVersion ||= NEWER.exec(message)?.[1] ?? "";
    return null;
  }

  get chosen() {
    const all = [...this.processes.values()];
    if (this.joins) return all;
    return all.length ? [all.find(one => one.isComplete) ?? all[0]] : [];
  }

  get isSigned() {
    return this.processes.size > 0;
  }

  get isComplete() {
    return this.isSigned && this.chosen.every(one => one.isComplete);
  }

  get parts() {
    return this.isSigned ? this.chosen.flatMap(one => one.parts) : this.plain.rows.length ? [this.plain.rows] : [];
  }

  get status() {
    const known = this.chosen.filter(one => one.end).map(one => one.end.status);
    return known.find(Boolean) ?? (this.isComplete ? 0 : null);
  }

  get failure() {
    return this.chosen.map(one => one.failure).find(Boolean) ?? null;
  }

  get progress() {
    return this.chosen.at(-1)?.progress ?? null;
  }

  get metrics() {
    return new Map(this.chosen.flatMap(one => [...one.metrics]));
  }

  get files() {
    return new Map(this.chosen.flatMap(one => [...one.files]));
  }

  // What is wrong with the result of a finished task; empty if nothing is.
  get problem() {
    if (this.doubt) return this.doubt;
    if (!this.isSigned && this.newerVersion) return `the task uses version ${this.newerVersion} of the protocol`;
    if (!this.isSigned) return this.plain.problem;
    return this.chosen.map(one => one.problem).find(Boolean) ?? "";
  }
}

// Printed JSON objects are rows, until the first record arrives. They are neither signed nor counted.
export class PlainRows {
  rows = [];
  cutLines = 0;
  unreadable = 0;

  feed(text) {
    if (!text.startsWith("{")) return;
    try {
      this.rows.push(parseJson(text));
    } catch (error) {
      if (error instanceof RangeError) this.unreadable++; // its levels are too many
      else this.cutLines += new Blob([text]).size >= MOST_BYTES_OF_LINE;
    }
  }

  get problem() {
    if (this.cutLines) return `${this.cutLines} of them were cut, because a log line holds at most 10,000 bytes`;
    return this.unreadable ? `${this.unreadable} of the printed rows have too many levels` : "";
  }
}

class HelperProcess {
  next = 0;
  held = new Map();
  payloads = [];
  macs = [];
  parts = [];
  files = new Map();
  fileNames = new Map(); // as the task sent them, and valid ones
  metrics = new Map();
  damaged = [];
  bytes = 0;
  fileBytes = 0;
  last = null;
  progress = null;
  failure = null;
  end = null;

  async take(number, kind, mac, payload) {
    if (kind === "end") this.last = number;
    if (number >= this.next && !this.held.has(number)) this.held.set(number, [kind, mac, payload]);
    while (this.held.has(this.next)) {
      const record = this.held.get(this.next);
      this.held.delete(this.next);
      await this.complete(...record);
      this.next++;
    }
  }

  // Joins the payloads of a record, and reads it once its last part is here.
  async complete(kind, mac, payload) {
    if (kind === "end") this.checksum = await checksum(this.macs.join(""));
    this.macs.push(mac);
    this.payloads.push(payload);
    if (kind.endsWith("+")) return;
    const joined = this.payloads.join("");
    this.payloads = [];
    try {
      await this.read(kind, joined);
    } catch {
      this.damaged.push(this.next);
    }
  }

  async read(kind, payload) {
    const { data, body } = await unpack(payload);
    if (SHAPES.get(kind)?.(data) === false) throw new Error("the record lacks what it must contain");
    this.bytes += payload.length + body.length;
    if (this.bytes > MOST_BYTES_OF_RESULT) throw new Error("the result is too large");
    if (kind === "rows") this.parts.push(data);
    if (kind === "table") this.parts.push(readTable(data, body));
    if (kind === "file") this.addFile(data, body);
    if (kind === "metric") this.metrics.set(data.name, data.value);
    if (["progress", "failure", "end"].includes(kind)) this[kind] = data;
  }

  addFile({ name, part, parts, size }, body) {
    this.fileBytes += body.length;
    this.fileParts = part ? [...this.fileParts, body] : [body];
    if (part + 1 < parts) return;
    const content = new Blob(this.fileParts);
    if (content.size !== size || this.fileBytes > MOST_BYTES_OF_FILES) throw new Error("a file has another size");
    this.files.set(this.nameFile(name), content);
  }

  // A valid name, which belongs to one sent name only: of a/x.png and b/x.png none is lost.
  nameFile(sent) {
    if (!this.fileNames.has(sent)) {
      const name = sent.split(/[/\\]/).at(-1).replace(/[^\p{L}\p{N}_.+ -]/gu, "_") || "file";
      const [, stem, suffix] = /^([^.]*)(.*)$/.exec(name);
      const taken = new Set(this.fileNames.values());
      let valid = name;
      for (let number = 2; taken.has(valid); number++) valid = `${stem}-${number}${suffix}`;
      this.fileNames.set(sent, valid);
    }
    return this.fileNames.get(sent);
  }

  get rowCount() {
    return this.parts.reduce((sum, part) => sum + countRows(part), 0);
  }

  get isComplete() {
    return this.end !== null && !this.missing.length;
  }

  // The numbers below the highest known one that have not arrived, as pairs of first and last.
  get missing() {
    const numbers = [...this.held.keys(), ...(this.last === null ? [] : [this.last + 1])].sort((a, b) => a - b);
    const gaps = [];
    let expected = this.next;
    for (const number of numbers) {
      if (number > expected) gaps.push([expected, number - 1]);
      expected = Math.max(expected, number + 1);
    }
    return gaps;
  }

  get problem() {
    if (this.missing.length) return `records ${list(this.missing)} are missing, and the log does not contain them`;
    if (!this.end) return "the end record is missing, so some rows may be missing";
    if (this.damaged.length) return `records ${list(this.damaged.map(one => [one, one]))} cannot be read`;
    const isCounted = this.end.rows === this.rowCount && this.end.checksum === this.checksum;
    return isCounted ? "" : "the rows do not match the count and checksum of the end record";
  }
}

// A part of a result is a list of rows, or a table of columns.
export function countRows(part) {
  return Array.isArray(part) ? part.length : part.rows;
}

// A payload is JSON, or Base64 of zlib of JSON, a newline and further bytes.
async function unpack(payload) {
  if (/^[[{]/.test(payload)) return { data: parseJson(payload), body: new Uint8Array() };
  const bytes = await inflate(Uint8Array.from(atob(payload), letter => letter.charCodeAt(0)));
  const end = bytes.indexOf(10) < 0 ? bytes.length : bytes.indexOf(10);
  return { data: parseJson(new TextDecoder().decode(bytes.subarray(0, end))), body: bytes.subarray(end + 1) };
}

async function inflate(packed) {
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const chunks = [];
  for (let size = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer());
    chunks.push(value);
    size += value.length;
    if (size > MOST_BYTES_OF_RECORD) throw new Error("the record is too large");
  }
}

async function checksum(text) {
  return hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).slice(0, 24);
}

function hex(bytes) {
  return [...new Uint8Array(bytes)].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

function list(gaps) {
  const shown = gaps.slice(0, 20).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return shown.join(", ") + (gaps.length > 20 ? ` and ${gaps.length - 20} more` : "");
}
