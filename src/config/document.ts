/** The JSON Schema for editors and the reference page, both made from the one schema. */
import { z } from 'zod';
import { aliasesOf } from './schema/fields.js';
import { IGNORED_SERVER_KEYS, IGNORED_TOP_KEYS, serverSchema, UNSUPPORTED_SERVER_KEYS } from './schema/servers.js';
import { configSchema } from './schema.js';
import { alternatives } from './schema-walk.js';

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
    override: ({ zodSchema, jsonSchema: json }) => refine(zodSchema as unknown as z.ZodType, json as JsonSchema),
  }) as JsonSchema;
  const { $schema, ...rest } = schema;
  return {
    $schema: $schema as string,
    $id: 'switchyard.schema.json',
    title: 'Switchyard configuration',
    ...rest,
  };
}

/** What a string in a file looks like that gets its value from a variable. */
const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{.+\\}' };

function refine(zodSchema: z.ZodType, json: JsonSchema): void {
  if (json.minimum === -INTEGER_BOUND) delete json.minimum;
  if (json.maximum === INTEGER_BOUND) delete json.maximum;
  // The defaults of a group are those of its keys; an empty object says nothing.
  if (typeof json.default === 'object' && json.default !== null && Object.keys(json.default).length === 0) {
    if (!Array.isArray(json.default)) delete json.default;
  }
  if (json.propertyNames !== undefined)
    json.propertyNames = { not: { enum: ['__proto__', 'constructor', 'prototype'] } };
  // What a variable holds is not known to an editor, so only texts without one are checked further.
  if (json.type === 'string' && (json.format ?? json.pattern ?? json.enum ?? (json.minLength ?? 0) > 1)) {
    const { description, default: fallback, ...rest } = json;
    for (const key of Object.keys(rest)) delete json[key];
    json.anyOf = [rest, VARIABLE];
  }
  if (!(zodSchema instanceof z.ZodObject) || json.properties === undefined) return;
  // A number or a switch may come from a variable, and is a string in the file then.
  for (const [name, field] of Object.entries(zodSchema.shape)) {
    const { number, boolean, string } = alternatives(field as z.ZodType);
    const property = json.properties[name];
    if (property !== undefined && (number || boolean) && !string) json.properties[name] = orVariable(property);
    if (property === undefined) continue;
    for (const other of aliasesOf(field as object)) {
      json.properties[other] = { ...json.properties[name], description: `Another name of \`${name}\`.` };
    }
  }
  if (zodSchema === serverSchema)
    addIgnored(json.properties, [...IGNORED_SERVER_KEYS, ...Object.keys(UNSUPPORTED_SERVER_KEYS)]);
  if (zodSchema === configSchema) addIgnored(json.properties, IGNORED_TOP_KEYS);
}

function addIgnored(properties: Record<string, JsonSchema>, names: readonly string[]): void {
  for (const name of names) properties[name] = { description: 'Accepted from the files of clients, and ignored.' };
}

/** `schema`, or a string that is one variable. */
function orVariable(schema: JsonSchema): JsonSchema {
  const { description, default: fallback, ...rest } = schema;
  const head: JsonSchema = {};
  if (description !== undefined) head.description = description;
  if (fallback !== undefined) head.default = fallback;
  return { ...head, anyOf: [...(rest.anyOf ?? [rest]), VARIABLE] };
}

/** The text of schema/switchyard.schema.json. */
export function schemaFile(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`;
}
