import { findMember, parseValue } from '../protocol/json-cursor.js';
import type { Exchange } from '../request/exchange/index.js';
import type { ListenFilter } from '../upstream/core/types.js';

/** Reads the filter of a `subscriptions/listen`; its task ids are handles. @returns null when it is missing or malformed */
export function readListenFilter(exchange: Exchange, bytes: Uint8Array): ListenFilter | null {
  const { spans } = exchange.message;
  const range = findMember(bytes, spans.paramsStart, spans.paramsEnd, 'notifications');
  if (range === undefined) return null;
  const value = parseValue(bytes, range.start, range.end);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  // `null` counts as absent.
  const members = Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
  const { toolsListChanged, promptsListChanged, resourcesListChanged } = members;
  for (const kind of [toolsListChanged, promptsListChanged, resourcesListChanged]) {
    if (kind !== undefined && typeof kind !== 'boolean') return null;
  }
  const resourceSubscriptions = texts(members['resourceSubscriptions']);
  const taskIds = texts(members['taskIds']);
  if (resourceSubscriptions === null || taskIds === null) return null;
  return {
    toolsListChanged: toolsListChanged === true,
    promptsListChanged: promptsListChanged === true,
    resourcesListChanged: resourcesListChanged === true,
    resourceSubscriptions,
    taskIds,
  };
}

/** The members of the acknowledgement: those that are false or empty are omitted. */
export function honouredPart(filter: ListenFilter): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(filter).filter(([, value]) => value === true || (Array.isArray(value) && value.length > 0)),
  );
}

function texts(value: unknown): string[] | null {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.some((text) => typeof text !== 'string')) return null;
  return [...new Set(value as string[])];
}
