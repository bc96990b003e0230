/**
 * The types that client SDKs require of known members of list items. SDKs reject the whole list for one invalid item, so
 * one upstream could hide the tools of all others: optional members of the wrong type are removed instead.
 */
import type { ListName } from './list-names.js';

/** A predicate for a JSON value. */
export type Check = (value: unknown) => boolean;

const isString: Check = (value) => typeof value === 'string';
export const isBoolean: Check = (value) => typeof value === 'boolean';
/** Whether a value is a finite number. */
export const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
/** Whether a value is a JSON object. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

/** An object that has the `required` members, and whose known members pass their checks. */
function shape(members: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value) =>
    isObject(value) &&
    required.every((key) => Object.hasOwn(value, key)) &&
    Object.entries(members).every(([key, check]) => !Object.hasOwn(value, key) || check(value[key]));
}

const icons = listOf(
  shape(
    {
      src: isString,
      mimeType: isString,
      sizes: listOf(isString),
      theme: (value) => value === 'light' || value === 'dark',
    },
    ['src'],
  ),
);
/** ISO 8601 with an offset, as SDKs check it. */
const isTime: Check = (value) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(value);
const annotations = shape({
  audience: listOf((value) => value === 'user' || value === 'assistant'),
  priority: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  lastModified: isTime,
});
const common = { title: isString, description: isString, icons, _meta: isObject };

/** Optional members by list. */
const OPTIONAL: Readonly<Record<ListName, Readonly<Record<string, Check>>>> = {
  tools: {
    ...common,
    annotations: shape({
      title: isString,
      readOnlyHint: isBoolean,
      destructiveHint: isBoolean,
      idempotentHint: isBoolean,
      openWorldHint: isBoolean,
    }),
    execution: shape({
      taskSupport: (value) => value === 'required' || value === 'optional' || value === 'forbidden',
    }),
    outputSchema: isObject,
  },
  prompts: {
    ...common,
    arguments: listOf(shape({ name: isString, title: isString, description: isString, required: isBoolean }, ['name'])),
  },
  resources: { ...common, mimeType: isString, size: isNumber, annotations },
  templates: { ...common, mimeType: isString, annotations },
};

/** The optional members of `item` that have the wrong type. */
export function misshapen(list: ListName, item: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(OPTIONAL[list])
    .filter(([key, check]) => Object.hasOwn(item, key) && !check(item[key]))
    .map(([key]) => key);
}

/** Why every client would reject an `inputSchema`, or null. */
export function schemaProblem(schema: unknown): string | null {
  if (!isObject(schema)) return 'inputSchema is not an object';
  if (Object.hasOwn(schema, 'type') && schema['type'] !== 'object') return 'inputSchema does not describe an object';
  const { properties, required } = schema;
  if (properties !== undefined && !isObject(properties)) return 'inputSchema.properties is not an object';
  if (required !== undefined && !listOf(isString)(required)) return 'inputSchema.required is not a list of names';
  return null;
}
