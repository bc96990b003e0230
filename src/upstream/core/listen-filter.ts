/** The filter of `subscriptions/listen` on the wire (MCP 2026-07-28). */
import type { ListenFilter } from './types.js';

/** Member of `_meta` that names the listen a message belongs to. */
const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';

/** The empty filter. */
export const EMPTY_FILTER: ListenFilter = Object.freeze({
  toolsListChanged: false,
  promptsListChanged: false,
  resourcesListChanged: false,
  resourceSubscriptions: [],
  taskIds: [],
});

/** Whether the filter is empty. */
export function isEmptyFilter(filter: ListenFilter): boolean {
  return (
    !filter.toolsListChanged &&
    !filter.promptsListChanged &&
    !filter.resourcesListChanged &&
    filter.resourceSubscriptions.length === 0 &&
    filter.taskIds.length === 0
  );
}

/** `params` of `subscriptions/listen`; members that are false or empty are left out. */
export function listenParams(filter: ListenFilter): object {
  return {
    notifications: {
      ...(filter.toolsListChanged ? { toolsListChanged: true } : {}),
      ...(filter.promptsListChanged ? { promptsListChanged: true } : {}),
      ...(filter.resourcesListChanged ? { resourcesListChanged: true } : {}),
      ...(filter.resourceSubscriptions.length > 0 ? { resourceSubscriptions: filter.resourceSubscriptions } : {}),
      ...(filter.taskIds.length > 0 ? { taskIds: filter.taskIds } : {}),
    },
  };
}

/** Reads `notifications/subscriptions/acknowledged`: the id of its listen (undefined = none) and the filter that is honoured. */
export function readAcknowledged(bytes: Uint8Array, length: number): { id: unknown; filter: ListenFilter } {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('utf8');
  const { params } = JSON.parse(text) as { params?: { notifications?: unknown; _meta?: unknown } };
  const given = members(params?.notifications);
  return {
    id: members(params?._meta)[SUBSCRIPTION_ID],
    filter: {
      toolsListChanged: given['toolsListChanged'] === true,
      promptsListChanged: given['promptsListChanged'] === true,
      resourcesListChanged: given['resourcesListChanged'] === true,
      resourceSubscriptions: strings(given['resourceSubscriptions']),
      taskIds: strings(given['taskIds']),
    },
  };
}

function members(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
