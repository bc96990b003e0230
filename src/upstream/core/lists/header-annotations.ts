/**
 * `x-mcp-header` annotations in input schemas (MCP 2026-07-28, tools, custom headers from tool parameters): a client
 * over HTTP must not offer a tool whose annotations break the rules.
 */

const ANNOTATION = 'x-mcp-header';
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES = new Set(['string', 'integer', 'boolean']);
/** Deeper schemas count as broken. */
const MAX_DEPTH = 64;

/** @param tool one raw item of `tools/list` @returns the rule that it breaks, as a clause; null if it may be offered */
export function brokenHeaderAnnotation(tool: Uint8Array): string | null {
  const bytes = Buffer.from(tool.buffer, tool.byteOffset, tool.length);
  // A key that is spelled with escapes means the same to a JSON parser.
  if (!bytes.includes(ANNOTATION) && !bytes.includes('\\u')) return null;
  const { inputSchema } = JSON.parse(bytes.toString('utf8')) as { inputSchema?: unknown };
  return check(inputSchema, false, new Set(), 0);
}

function check(schema: unknown, annotatable: boolean, names: Set<string>, depth: number): string | null {
  if (typeof schema !== 'object' || schema === null) return null;
  if (depth > MAX_DEPTH) return 'the schema is nested too deep';
  if (Array.isArray(schema)) {
    for (const element of schema) {
      const broken = check(element, false, names, depth + 1);
      if (broken !== null) return broken;
    }
    return null;
  }
  const node = schema as Record<string, unknown>;
  if (Object.hasOwn(node, ANNOTATION)) {
    const broken = checkAnnotation(node, annotatable, names);
    if (broken !== null) return broken;
  }
  // Parameters are reached from the root through `properties` alone; the root is no parameter.
  const onChain = annotatable || depth === 0;
  for (const [keyword, value] of Object.entries(node)) {
    const broken =
      keyword === 'properties' && isPlain(value)
        ? checkProperties(value, onChain, names, depth + 1)
        : NOT_SCHEMAS.has(keyword)
          ? null
          : check(value, false, names, depth + 1);
    if (broken !== null) return broken;
  }
  return null;
}

/** Keywords whose values are data, in which the annotation has no meaning. */
const NOT_SCHEMAS = new Set(['const', 'default', 'enum', 'examples', 'required', ANNOTATION]);

function checkProperties(
  properties: Record<string, unknown>,
  onChain: boolean,
  names: Set<string>,
  depth: number,
): string | null {
  for (const value of Object.values(properties)) {
    const broken = check(value, onChain, names, depth);
    if (broken !== null) return broken;
  }
  return null;
}

function checkAnnotation(node: Record<string, unknown>, annotatable: boolean, names: Set<string>): string | null {
  const name = node[ANNOTATION];
  if (typeof name !== 'string' || !TOKEN.test(name)) return 'an x-mcp-header is not a header name';
  if (!annotatable) return 'an x-mcp-header is not on a parameter';
  if (typeof node['type'] !== 'string' || !TYPES.has(node['type']))
    return 'an x-mcp-header is on a parameter of another type';
  if (names.has(name.toLowerCase())) return 'an x-mcp-header is used twice';
  names.add(name.toLowerCase());
  return null;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
