/** docs/configuration.md: every key with its type, default and meaning. */
import { z } from 'zod';
import { renamedKeys } from '../renamed-keys.js';
import { aliasesOf, KIB, MIB } from '../schema/fields.js';
import { configSchema } from '../schema/index.js';
import { IGNORED_SERVER_KEYS, IGNORED_TOP_KEYS, serverSchema, UNSUPPORTED_SERVER_KEYS } from '../schema/servers.js';
import type { JsonSchema } from './json-schema.js';

const INTRODUCTION = `<!-- Made by \`npm run generate\` from the schema in src/config/. Edit that, not this page. -->

# Configuration reference

One file holds the whole configuration: JSON, JSONC (both with comments and trailing commas), YAML or TOML, by the extension
\`.json\`, \`.jsonc\`, \`.yaml\`, \`.yml\` or \`.toml\`. \`switchyard init\` writes a commented one, \`switchyard validate\` checks one, and
\`schema/switchyard.schema.json\` is its JSON Schema for editors.

- **An unknown key is an error**, reported as \`file:line:column\` with the nearest known key. So is a key that is given
  twice. All problems of a file are reported at once, and the exit code is 78.
- **Spelling.** \`maxBodyBytes\` may be written \`max_body_bytes\`. Names of servers, headers and variables stay as they are.
- **Renamed keys.** The former name of a key still works, with a warning; one file cannot have both.
- **Variables.** \`\${VAR}\` in any string value is replaced by the environment variable VAR; one that is not set is an error.
  \`\${VAR:-default}\` has a default for when VAR is not set or empty. \`$\${\` stands for a literal \`\${\`. A number or a switch may
  come from a variable too: \`port: \${PORT:-8000}\`. The forms of editors are accepted: \`\${env:VAR}\`, \`\${userHome}\`,
  \`\${workspaceFolder}\`, and \`\${input:api-key}\`, which is read from the environment variable \`API_KEY\`.
- **Secrets.** The value of a variable is never shown: \`validate\`, errors and the log have the name of the variable in its place.
  Texts of the file itself that look like secrets are shown as \`***\`; see [operations.md](operations.md#secrets). Prefer variables, and
  \`env\` to \`args\`: the arguments of a process can be read by other users of the machine (\`ps\`).
- **Paths** are relative to the folder of the file. \`command\` is an exception: it is searched on PATH, or taken relative to \`cwd\`.
- **Units** are part of the name: \`...Ms\` milliseconds, \`...Seconds\` seconds, \`...Bytes\` bytes, anything else a count.

## A client's file

The file of Claude Desktop, Claude Code, VS Code, Cursor, Windsurf, Cline or Roo works as it is: VS Code's \`servers\` is another name of
\`mcpServers\`, \`type\` of \`transport\`, \`disabled\` is the opposite of \`enabled\`. These keys are accepted and change nothing:
IGNORED. These are ignored with a warning: UNSUPPORTED.

## Top level
`;

/** The text of docs/configuration.md. */
export function referencePage(): string {
  const raw = z.toJSONSchema(configSchema, { io: 'input', reused: 'inline' }) as JsonSchema;
  const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
  const lines = [
    INTRODUCTION.replace('IGNORED', code([...IGNORED_TOP_KEYS, ...IGNORED_SERVER_KEYS])).replace(
      'UNSUPPORTED',
      code(Object.keys(UNSUPPORTED_SERVER_KEYS)),
    ),
  ];
  section(lines, '', raw, aliasTable());
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Keys that may hold the same as another one, which their meaning names. */
const REPEATED: ReadonlySet<string> = new Set(['views.NAME.auth']);

type AliasTable = ReadonlyMap<string, readonly string[]>;

/** Aliases by section and key; only the outermost objects have any. */
function aliasTable(): AliasTable {
  const table = new Map<string, readonly string[]>();
  const read = (prefix: string, shape: Record<string, object>): void => {
    for (const [name, field] of Object.entries(shape)) table.set(`${prefix}${name}`, aliasesOf(field));
  };
  read('', configSchema.shape);
  read('mcpServers.NAME.', serverSchema.shape);
  read('routes[].', (configSchema.shape.routes.unwrap().element as z.ZodObject).shape as Record<string, object>);
  read('sessions.', (configSchema.shape.sessions.unwrap() as z.ZodObject).shape as Record<string, object>);
  return table;
}

/** Writes the table of one object, then the sections of the objects within it. */
function section(lines: string[], path: string, schema: JsonSchema, aliases: AliasTable): void {
  const nested: { path: string; title: string; schema: JsonSchema; description: string | undefined }[] = [];
  const renamed = renamedKeys(path === '' ? [] : path.replaceAll('[]', '.0').split('.'));
  lines.push('| Key | Type | Default | Meaning |', '| --- | --- | --- | --- |');
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const own = path === '' ? name : `${path}.${name}`;
    const required = (schema.required ?? []).includes(name) ? '**required**' : '';
    const fallback = shownDefault(name, property) ?? required;
    const others = aliases.get(own) ?? [];
    const also = others.length === 0 ? '' : ` Also written ${others.map((other) => `\`${other}\``).join(', ')}.`;
    const before = renamed.flatMap((key) => (key.now === name ? [`\`${key.before}\``] : []));
    const formerly = before.length === 0 ? '' : ` Formerly ${before.join(', ')}, which still works.`;
    const meaning = `${property.description ?? ''}${also}${formerly}`;
    lines.push(`| \`${name}\` | ${typeWords(property)} | ${fallback} | ${meaning.replaceAll('|', '\\|').trim()} |`);
    if (REPEATED.has(own)) continue;
    for (const inner of innerObjects(property, own)) nested.push({ ...inner, description: property.description });
  }
  lines.push('');
  for (const inner of nested) {
    lines.push(`${inner.path.split('.').length > 2 ? '###' : '##'} ${inner.title}`, '');
    if (inner.description !== undefined) lines.push(inner.description, '');
    section(lines, inner.path, inner.schema, aliases);
  }
}

/** The objects that a place may hold: itself, list items, map values, alternatives. */
function innerObjects(schema: JsonSchema, path: string): { path: string; title: string; schema: JsonSchema }[] {
  if (schema.properties !== undefined) {
    const type = schema.properties['type']?.const;
    return [{ path, title: `\`${path}\`${type === undefined ? '' : ` of type \`${String(type)}\``}`, schema }];
  }
  if (schema.items !== undefined) return innerObjects(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === 'object') return innerObjects(schema.additionalProperties, `${path}.NAME`);
  return [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((option) => innerObjects(option, path));
}

function shownDefault(name: string, schema: JsonSchema): string | null {
  const value = schema.default;
  if (value === undefined) return null;
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return '';
  const shown = `\`${JSON.stringify(value)}\``;
  if (!name.endsWith('Bytes')) return shown;
  const bytes = value as number;
  return `${shown} (${bytes % MIB === 0 ? `${bytes / MIB} MiB` : `${bytes / KIB} KiB`})`;
}

function typeWords(schema: JsonSchema): string {
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return [...new Set(options.map(typeWords))].join(' or ');
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (Array.isArray(schema.type)) return schema.type.join(' or ');
  switch (schema.type) {
    case 'integer':
    case 'number':
      return numberWords(schema);
    case 'array':
      return schema.items === undefined ? 'list' : `list of ${typeWords(schema.items)}`;
    case 'object':
      return typeof schema.additionalProperties === 'object'
        ? `map of ${typeWords(schema.additionalProperties)}`
        : 'object';
    case 'string':
      return stringWords(schema);
    default:
      return schema.type ?? 'anything';
  }
}

const grouped = new Intl.NumberFormat('en-US');

function numberWords(schema: JsonSchema): string {
  const kind = schema.type === 'integer' ? 'whole number' : 'number';
  const low = schema.exclusiveMinimum === undefined ? schema.minimum : schema.exclusiveMinimum;
  const from = schema.exclusiveMinimum === undefined ? 'from' : 'above';
  const bounds = [
    low === undefined || low === -Number.MAX_SAFE_INTEGER ? '' : ` ${from} ${grouped.format(low)}`,
    schema.maximum === undefined || schema.maximum === Number.MAX_SAFE_INTEGER
      ? ''
      : ` to ${grouped.format(schema.maximum)}`,
  ];
  return kind + bounds.join('');
}

function stringWords(schema: JsonSchema): string {
  if (schema.format === 'uri') return 'URL';
  return (schema.minLength ?? 0) > 1 ? `string of ${schema.minLength} characters or more` : 'string';
}
