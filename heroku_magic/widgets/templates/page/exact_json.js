// Reads JSON as Python's json module writes it: with NaN and Infinity, and with whole numbers of any length.

// A name, which a colon follows, stays as it is.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*:)?|-?Infinity|NaN|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
// Marks a text that stands for a number; a text that begins with it already gets one more.
const MARK = "\0";

export function parseJson(text) {
  return JSON.parse(text.replace(TOKEN, quote), (_, value) => (typeof value === "string" ? unquote(value) : value));
}

function quote(token) {
  if (token.startsWith('"')) return token.startsWith('"\\u0000') && !token.endsWith(":") ? `"\\u0000${token.slice(1)}` : token;
  const isExact = Number.isFinite(Number(token)) && (/[.eE]/.test(token) || Number.isSafeInteger(Number(token)));
  return isExact ? token : `"\\u0000${token}"`;
}

function unquote(text) {
  if (!text.startsWith(MARK)) return text;
  const rest = text.slice(1);
  if (rest.startsWith(MARK)) return rest;
  return /^-?\d+$/.test(rest) ? BigInt(rest) : Number(rest);
}

export function writeJson(value) {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(writeJson).join(",")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}:${writeJson(item)}`).join(",")}}`;
  }
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}
