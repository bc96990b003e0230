/** Tool arguments that travel as headers: `x-mcp-header` in input schemas (MCP 2026-07-28, Streamable HTTP). */
import { DATA_KEYWORDS } from './legacy-schema.js';

/** A tool argument that is also sent as the header `Mcp-Param-{header}`. */
export interface HeaderParam {
  /** Property names from `arguments` down. */
  readonly path: readonly string[];
  readonly header: string;
  readonly type: 'string' | 'integer' | 'boolean';
}

const ANNOTATION = 'x-mcp-header';
/** `token` of RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const MAX_DEPTH = 32;

/**
 * The annotated arguments of a tool.
 *
 * @returns a sentence when the annotations are invalid: clients over HTTP must ignore such a tool
 */
export function headerParams(inputSchema: Readonly<Record<string, unknown>>): readonly HeaderParam[] | string {
  const found: HeaderParam[] = [];
  const names = new Set<string>();
  const problem = walk(inputSchema, [], true, found, names, 0);
  return problem ?? found;
}

/** @param reachable only chains of `properties` lead here from the root */
function walk(
  schema: unknown,
  path: readonly string[],
  reachable: boolean,
  found: HeaderParam[],
  names: Set<string>,
  depth: number,
): string | null {
  if (depth > MAX_DEPTH || typeof schema !== 'object' || schema === null) return null;
  if (Array.isArray(schema)) {
    for (const element of schema) {
      const problem = walk(element, path, false, found, names, depth + 1);
      if (problem !== null) return problem;
    }
    return null;
  }
  const record = schema as Record<string, unknown>;
  if (Object.hasOwn(record, ANNOTATION)) {
    const problem = addParam(record, path, reachable, found, names);
    if (problem !== null) return problem;
  }
  for (const [key, value] of Object.entries(record)) {
    if (key === ANNOTATION || DATA_KEYWORDS.has(key)) continue;
    const problem =
      key === 'properties'
        ? walkProperties(value, path, reachable, found, names, depth)
        : walk(value, path, false, found, names, depth + 1);
    if (problem !== null) return problem;
  }
  return null;
}

function walkProperties(
  properties: unknown,
  path: readonly string[],
  reachable: boolean,
  found: HeaderParam[],
  names: Set<string>,
  depth: number,
): string | null {
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) return null;
  for (const [name, value] of Object.entries(properties)) {
    const problem = walk(value, [...path, name], reachable, found, names, depth + 1);
    if (problem !== null) return problem;
  }
  return null;
}

function addParam(
  schema: Readonly<Record<string, unknown>>,
  path: readonly string[],
  reachable: boolean,
  found: HeaderParam[],
  names: Set<string>,
): string | null {
  const header = schema[ANNOTATION];
  if (typeof header !== 'string' || !TOKEN.test(header)) return 'x-mcp-header is not a header name';
  if (!reachable || path.length === 0) return 'x-mcp-header is not on an argument';
  const type = schema['type'];
  if (type !== 'string' && type !== 'integer' && type !== 'boolean') {
    return 'x-mcp-header is on an argument that is not a string, integer or boolean';
  }
  const lower = header.toLowerCase();
  if (names.has(lower)) return 'x-mcp-header names one header for two arguments';
  names.add(lower);
  found.push({ path, header, type });
  return null;
}
