// Writes times, durations and periods, which arrive as whole numbers since 1970, as pandas writes them.

import { writeJson } from "./exact_json.js";

const PER_SECOND = { s: 1n, ms: 1_000n, us: 1_000_000n, ns: 1_000_000_000n };
const MISSING = -(2n ** 63n);
const FIXED_ZONE = /^UTC(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?/;
const PERIODS_PER_DAY = { D: 1, H: 24, T: 1440, S: 86_400 };

export function formatTime(count, dtype) {
  if (count === MISSING) return null;
  const [, kind, unit, zone] = /^(\w+)\[([\w-]+)(?:, (.+))?\]$/.exec(dtype);
  if (kind === "period") return formatPeriod(Number(count), unit);
  return kind === "timedelta64" ? formatDuration(count, unit) : formatMoment(count, unit, zone);
}

export function formatLabel([kind, value]) {
  if (kind === "tuple") return `(${value.map(formatLabel).join(", ")})`;
  if (kind === "interval") {
    const [closed, left, right] = value;
    const ends = [["left", "both"].includes(closed) ? "[" : "(", ["right", "both"].includes(closed) ? "]" : ")"];
    return `${ends[0]}${formatLabel(left)}, ${formatLabel(right)}${ends[1]}`;
  }
  if (kind === "date" || typeof value === "string") return value;
  return kind === "json" ? writeJson(value) : String(formatTime(BigInt(value), kind));
}

function formatMoment(count, unit, zone) {
  const [seconds, fraction] = divide(count, PER_SECOND[unit]);
  const offset = zone ? offsetOf(zone, Number(seconds)) : 0;
  const date = new Date((Number(seconds) + offset) * 1000);
  if (Number.isNaN(date.getTime())) return `${count} ${unit} since 1970`;
  const [day, clock] = date.toISOString().split("T");
  return `${day} ${clock.slice(0, 8)}${decimals(fraction, unit)}${zone ? formatOffset(offset) : ""}`;
}

function formatDuration(count, unit) {
  const [seconds, fraction] = divide(count, PER_SECOND[unit]);
  const [days, rest] = divide(seconds, 86_400n);
  return `${days} days ${new Date(Number(rest) * 1000).toISOString().slice(11, 19)}${decimals(fraction, unit)}`;
}

function formatPeriod(ordinal, unit) {
  const [year, month] = [Math.floor(ordinal / 12), ordinal - 12 * Math.floor(ordinal / 12)];
  if (unit === "M") return `${1970 + year}-${pad(month + 1)}`;
  if (unit === "Q-DEC") return `${1970 + Math.floor(ordinal / 4)}Q${ordinal - 4 * Math.floor(ordinal / 4) + 1}`;
  if (["Y-DEC", "A-DEC"].includes(unit)) return String(1970 + ordinal);
  const name = { h: "H", min: "T", s: "S" }[unit] ?? unit;
  if (!(name in PERIODS_PER_DAY)) return `${ordinal} (${unit})`;
  const date = new Date((ordinal / PERIODS_PER_DAY[name]) * 86_400_000);
  if (Number.isNaN(date.getTime())) return `${ordinal} ${unit} since 1970`;
  const text = date.toISOString().replace("T", " ");
  return text.slice(0, { D: 10, H: 13, T: 16, S: 19 }[name]) + (name === "H" ? ":00" : "");
}

// Seconds that a zone is ahead of UTC at a moment; 0 for a zone that this browser does not know.
function offsetOf(zone, seconds) {
  const fixed = FIXED_ZONE.exec(zone);
  if (fixed) {
    const [hours, minutes, rest] = fixed.slice(2).map(Number);
    return fixed[1] ? (fixed[1] === "-" ? -1 : 1) * (hours * 3600 + minutes * 60 + (rest || 0)) : 0;
  }
  try {
    const fields = ["year", "month", "day", "hour", "minute", "second"];
    const settings = { timeZone: zone, hourCycle: "h23", ...Object.fromEntries(fields.map(field => [field, "numeric"])) };
    const parts = new Intl.DateTimeFormat("en-US", settings).formatToParts(new Date(seconds * 1000));
    const [year, month, ...rest] = fields.map(field => Number(parts.find(part => part.type === field).value));
    return Date.UTC(year, month - 1, ...rest) / 1000 - seconds;
  } catch (error) {
    if (error instanceof RangeError) return 0;
    throw error;
  }
}

function formatOffset(offset) {
  const minutes = Math.floor(Math.abs(offset) / 60);
  const seconds = Math.abs(offset) % 60;
  const clock = `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
  return `${offset < 0 ? "-" : "+"}${clock}${seconds ? `:${pad(seconds)}` : ""}`;
}

function decimals(fraction, unit) {
  const digits = String(PER_SECOND[unit]).length - 1;
  return fraction ? `.${String(fraction).padStart(digits, "0")}` : "";
}

function divide(number, by) {
  const quotient = number / by - (number % by < 0n ? 1n : 0n);
  return [quotient, number - quotient * by];
}

function pad(number) {
  return String(number).padStart(2, "0");
}
