// Decodes the bytes of a table into columns whose values can be shown. The worker's README describes the format.

import { parseJson } from "./exact_json.js";
import { formatLabel, formatTime } from "./times.js";

const ARRAYS = {
  bool: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
  float16: Uint16Array, float32: Float32Array, float64: Float64Array,
};
const MOST_EMPTY_ROWS = 1_000_000; // of a table without columns, which may claim any number
const TIMES = /^(datetime64|timedelta64|period)\[/;

// A column is a label and a function from a row's number to its value.
export function readTable(header, body) {
  const { rows, sizes } = header;
  if (!Number.isSafeInteger(rows) || rows < 0 || (!sizes.length && rows > MOST_EMPTY_ROWS)) throw new Error("not a number of rows");
  if (sizes.reduce((sum, size) => sum + size, 0) !== body.length) throw new Error("the buffers have another length");
  let at = 0;
  const buffers = sizes.map(size => body.slice(at, (at += size)));
  const columns = header.columns.map(head => ({
    name: head.name,
    title: head.label ? formatLabel(head.label) : head.name,
    value: readColumn(head, rows, buffers),
  }));
  if (rows) columns.forEach(({ value }) => value(0)); // what does not fit its dtype is damaged
  if (new Set(columns.map(({ name }) => name)).size < columns.length) throw new Error("two columns have one name");
  if (buffers.length) throw new Error("the columns do not match the buffers");
  return { rows, columns };
}

function readColumn(head, rows, buffers) {
  if (head.coding === "json") {
    const values = parseJson(new TextDecoder().decode(buffers.shift()));
    if (values.length !== rows) throw new Error("a column has another length than its table");
    return row => values[row];
  }
  const mask = head.mask ? unshuffle("bool", rows, buffers.shift()) : null;
  const numbers = unshuffle(head.numbers, rows, buffers.shift());
  if (head.coding === "codes") {
    const value = readColumn(head.of, head.of.rows, buffers);
    if (numbers.some(code => code < -1 || code >= head.of.rows)) throw new Error("a code is out of range");
    return row => (numbers[row] < 0 ? null : value(Number(numbers[row])));
  }
  if (head.coding !== "numbers") throw new Error("an unknown coding");
  const show = presentation(head);
  return row => (mask?.[row] ? null : show(numbers[row]));
}

// On the wire all first bytes of the numbers come first, then all second bytes, and so on.
function unshuffle(kind, rows, shuffled) {
  const array = ARRAYS[kind];
  const width = array?.BYTES_PER_ELEMENT;
  if (!width || shuffled?.length !== rows * width) throw new Error("a column has another length than its table");
  const bytes = new Uint8Array(shuffled.length);
  for (let row = 0, to = 0; row < rows; row++) {
    for (let byte = 0; byte < width; byte++) bytes[to++] = shuffled[byte * rows + row];
  }
  return new array(bytes.buffer);
}

function presentation({ dtype, numbers }) {
  if (TIMES.test(dtype)) return count => formatTime(count, dtype);
  if (numbers === "bool") return Boolean;
  if (numbers === "float16") return bits => roundTrip(halfFloat(bits), 5);
  return numbers === "float32" ? value => roundTrip(value, 9) : value => value;
}

// A number of low precision with no more digits than it has.
function roundTrip(value, most) {
  for (let digits = 1; digits < most; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (most === 9 && Math.fround(shorter) === value) return shorter;
  }
  return Number(value.toPrecision(most));
}

function halfFloat(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
