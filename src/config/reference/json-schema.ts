/** The JSON Schema for editors and the reference page, both made from the one schema. */
import { z } from 'zod';
import type { ConfigPath } from '../problems.js';
import { renamedKeys } from '../renamed-keys.js';
import { aliasesOf } from '../schema/fields.js';
import { configSchema } from '../schema/index.js';
import { IGNORED_SERVER_KEYS, IGNORED_TOP_KEYS, serverSchema, UNSUPPORTED_SERVER_KEYS } from '../schema/servers.js';
import { alternatives } from '../schema-walk.js';

/** The part of JSON Schema 2020-12 that the schema is expressed in. */
export interface JsonSchema {
  $schema?: string;
  $id?: string;
  title?: string;
  description?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  deprecated?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  propertyNames?: JsonSchema;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  [key: string]: unknown;
}

const INTEGER_BOUND = Number.MAX_SAFE_INTEGER;

/** The published JSON Schema. Spellings in snake_case are accepted by the gateway, but not offered to editors. */
export function jsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'throw',
    reused: 'inline',
  }) as JsonSchema;
  polish(schema, configSchema, []);
  const { $schema, ...rest } = schema;
  return {
    $schema: $schema as string,
    $id: 'switchyard.schema.json',
    title: 'Switchyard configuration',
    ...rest,
  };
}

/** A string that gets its value from a variable. */
const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{.+\\}' };

/** Adds to the JSON Schema, in step with the zod schema it was made from, what the loader accepts besides. */
function polish(json: JsonSchema, schema: z.ZodType, path: ConfigPath): void {
  if (json.minimum === -INTEGER_BOUND) delete json.minimum;
  if (json.maximum === INTEGER_BOUND) delete json.maximum;
  dropEmptyDefault(json);
  const inner = unwrap(schema);
  const options = json.anyOf ?? json.oneOf;
  if (inner instanceof z.ZodObject) polishObject(json, inner, path);
  else if (inner instanceof z.ZodArray) polish(json.items as JsonSchema, inner.element as z.ZodType, [...path, 0]);
  else if (inner instanceof z.ZodRecord) {
    json.propertyNames = { type: 'string', pattern: '^(?!(?:__proto__|constructor|prototype)$)' };
    polish(json.additionalProperties as JsonSchema, inner.valueType as z.ZodType, [...path, 'NAME']);
  } else if (inner instanceof z.ZodUnion && options !== undefined) {
    for (const [i, option] of inner.options.entries()) polish(options[i] as JsonSchema, option as z.ZodType, path);
  } else if (json.type === 'string') orVariable(json, isChecked(json));
}

function polishObject(json: JsonSchema, object: z.ZodObject, path: ConfigPath): void {
  const properties = json.properties as Record<string, JsonSchema>;
  for (const [name, field] of Object.entries(object.shape)) {
    const property = properties[name] as JsonSchema;
    polish(property, field as z.ZodType, [...path, name]);
    const { number, boolean, string } = alternatives(field as z.ZodType);
    orVariable(property, (number || boolean) && !string);
    for (const other of aliasesOf(field as object)) {
      properties[other] = { ...property, description: `Another name of \`${name}\`.` };
    }
  }
  for (const { before, now } of renamedKeys(path)) {
    properties[before] = { ...properties[now], description: `Renamed to \`${now}\`.`, deprecated: true };
  }
  if (object === serverSchema)
    addIgnored(properties, [...IGNORED_SERVER_KEYS, ...Object.keys(UNSUPPORTED_SERVER_KEYS)]);
  if (object === configSchema) addIgnored(properties, IGNORED_TOP_KEYS);
}

function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap() as z.ZodType;
  }
  return inner;
}

/** The defaults of a group are those of its keys; an empty object adds nothing. */
function dropEmptyDefault(json: JsonSchema): void {
  const { default: value } = json;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  if (Object.keys(value).length === 0) delete json.default;
}

/** Whether a string has a rule besides that it is not empty. */
function isChecked(json: JsonSchema): boolean {
  if (json.const !== undefined) return false;
  return (
    json.format !== undefined || json.pattern !== undefined || json.enum !== undefined || (json.minLength ?? 0) > 1
  );
}

/** Accepts a variable in place of the value. */
function orVariable(json: JsonSchema, applies: boolean): void {
  if (!applies || json.anyOf?.includes(VARIABLE)) return;
  const { description, default: fallback, ...rest } = json;
  for (const key of Object.keys(rest)) delete json[key];
  json.anyOf = [...(rest.anyOf ?? [rest]), VARIABLE];
}

function addIgnored(properties: Record<string, JsonSchema>, names: readonly string[]): void {
  for (const name of names) properties[name] = { description: 'Accepted from the files of clients, and ignored.' };
}

/** The text of schema/switchyard.schema.json. */
export function schemaFile(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`;
}
