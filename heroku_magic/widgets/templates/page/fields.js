// Reads the fields of the form as environment variables, and says what is wrong with them, as the notebook does.

import { parseJson, writeJson } from "./exact_json.js";

const WHOLE = /^[+-]?\d+(?:_\d+)*$/;
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MOST_BYTES = 32 * 1024;

// Returns the variables and the sentences about what is wrong, by the number of the field. shortestSecret: its length.
export function readFields(fields, form, shortestSecret) {
  const env = Object.create(null); // a parameter may have the name of something that every object has
  const faults = new Map();
  for (const field of fields) {
    try {
      const text = readField(field, form);
      if (field.control === "secret" && text?.length < shortestSecret) {
        throw new Error(`${field.name} needs at least ${shortestSecret} characters, or it cannot be masked in the output.`);
      }
      if (text !== null) env[field.name] = text;
    } catch (error) {
      faults.set(field.id, error.message);
    }
  }
  return { env, faults };
}

function readField(field, form) {
  const { id, name, control, schema } = field;
  if (form.elements[`none-${id}`]?.checked) return field.takesNull ? "null" : null;
  const input = form.elements[`value-${id}`];
  if (control === "check") return String(input.checked);
  if (control === "choice") return readChoice(field, input);
  const text = control === "text" || control === "secret" ? textOf(input) : input.value.trim();
  if (input.validity.badInput) throw new Error(`${name} cannot be read: expected ${field.expects}.`);
  if (!text && (control !== "text" || (field.isRequired && field.isUnset))) {
    if (field.isRequired) throw new Error(`${name} is missing: expected ${field.expects}.`);
    return null;
  }
  const value = valueOf(field, text);
  if (!fits(value, schema)) throw new Error(`${name} is ${shorten(text)}: expected ${field.expects}.`);
  return typeof value === "bigint" ? String(value) : text;
}

// The text of a control; one that was not changed keeps the ends of lines, which a browser changes.
export function textOf(input) {
  const { start } = input.dataset;
  return start?.replace(/\r\n?/g, "\n") === input.value ? start : input.value;
}

function readChoice({ name, options, isRequired }, input) {
  if (input.value !== "") return options[Number(input.value)];
  if (isRequired) throw new Error(`Choose a value for ${name}.`);
  return null;
}

function valueOf({ name, control, schema }, text) {
  if (["number", "literal"].includes(control) && ["integer", "number"].includes(schema.type)) {
    if (schema.type === "integer") return WHOLE.test(text) ? BigInt(text.replaceAll("_", "")) : text;
    return DECIMAL.test(text) ? Number(text) : text;
  }
  if (control === "json") {
    try {
      JSON.parse(text); // which takes no NaN
      return parseJson(text);
    } catch (error) {
      throw new Error(`${name} is not valid JSON: ${error.message}.`);
    }
  }
  return control === "literal" ? undefined : text;
}

// Whether a schema accepts a value. A construct that is unknown, or undefined, is left to the task.
export function fits(value, schema) {
  if (value === undefined || typeof schema !== "object" || schema === null) return true;
  if (Array.isArray(schema.anyOf)) return schema.anyOf.some(kind => fits(value, kind));
  if (Array.isArray(schema.enum)) return schema.enum.some(one => writeJson(one) === writeJson(value));
  const kinds = [schema.type ?? []].flat();
  return (!kinds.length || kinds.some(kind => isOfType(value, kind))) && isWithin(value, schema) && fitsItems(value, schema);
}

function isOfType(value, kind) {
  if (kind === "integer") return typeof value === "bigint" || Number.isInteger(value);
  if (kind === "number") return typeof value === "bigint" || Number.isFinite(value);
  if (kind === "array") return Array.isArray(value);
  if (kind === "null") return value === null;
  if (kind === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return !["string", "boolean"].includes(kind) || typeof value === kind;
}

function isWithin(value, schema) {
  const isNumber = ["number", "bigint"].includes(typeof value);
  const length = typeof value === "string" ? [...value].length : value?.length;
  const [least, most] = typeof value === "string" ? ["minLength", "maxLength"] : ["minItems", "maxItems"];
  return (
    !(isNumber && (value < schema.minimum || value > schema.maximum)) &&
    !(isNumber && (value <= schema.exclusiveMinimum || value >= schema.exclusiveMaximum)) &&
    !(isNumber && schema.multipleOf > 0 && !isMultiple(value, schema.multipleOf)) &&
    !(length < schema[least] || length > schema[most])
  );
}

function isMultiple(value, step) {
  if (isOfType(value, "integer") && isOfType(step, "integer")) return BigInt(value) % BigInt(step) === 0n;
  const count = Number(value) / Number(step);
  return Math.abs(count - Math.round(count)) < 1e-9 * Math.max(1, Math.abs(count));
}

function fitsItems(value, schema) {
  if (Array.isArray(value)) return value.every(item => fits(item, schema.items));
  if (typeof value !== "object" || value === null) return true;
  const known = new Map(Object.entries(schema.properties ?? {}));
  return Object.entries(value).every(([name, item]) => fits(item, known.get(name) ?? schema.additionalProperties));
}

// Adds the rows of a task that declares no parameters; reserved: patterns of names that name no parameter.
export function readRows(rows, reserved, env, faults) {
  for (const { name, value } of rows.filter(row => row.name || row.value)) {
    const reason = reserved.find(([pattern, flags]) => new RegExp(`^(?:${pattern})$`, flags).test(name))?.[2];
    if (!NAME.test(name)) faults.set("", `"${name}" is not a name: use the letters a-z, digits and _, not beginning with a digit.`);
    else if (name in env) faults.set("", `${name} is given twice. Give each parameter once.`);
    else if (reason) faults.set("", `${name} cannot name a parameter: ${reason}. Choose another name.`);
    env[name] = value;
  }
  const size = Object.entries(env).reduce((sum, pair) => sum + new Blob(pair).size, 0);
  if (size > MOST_BYTES) faults.set("", `The parameters take ${size.toLocaleString("en")} bytes. At most 32 kB fit.`);
}

function shorten(text) {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
