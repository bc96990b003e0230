/** What is pinned of a tool. */
import { createHash } from 'node:crypto';
import { canonical } from '../../config/numbering.js';
import type { ToolDefinition } from '../../config/snapshot/pinning.js';

/** What models and people read of a tool, and what it takes and gives. */
const FIELDS = ['title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;

/** The pinned members of an item; one that is null counts as absent. */
export function definitionOf(item: Readonly<Record<string, unknown>>): ToolDefinition {
  return Object.fromEntries(
    FIELDS.flatMap((field) => (item[field] === undefined || item[field] === null ? [] : [[field, item[field]]])),
  );
}

/** The hash of a definition: of its JSON text in which the order of members, white space and escapes make no difference. */
export function hashOf(definition: ToolDefinition): string {
  return `sha256-${createHash('sha256').update(canonical(definition)).digest('base64url')}`;
}
