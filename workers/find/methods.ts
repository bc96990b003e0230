/** What the policy does with each method, by family (docs/protocol.md: methods of the revisions). */
import { METHODS, Method } from '../../native/layout.js';
import { errorNumber } from '../../src/errors.js';
import { Operation } from '../../src/shared/ring/records.js';

const UNKNOWN_TOOL = errorNumber('GW_UNKNOWN_TOOL');
const UNKNOWN_TASK = errorNumber('GW_UNKNOWN_TASK');
const UNKNOWN_PROMPT = errorNumber('GW_UNKNOWN_PROMPT');
const UNKNOWN_RESOURCE = errorNumber('GW_UNKNOWN_RESOURCE');

/** How a method is decided. */
export const Action = {
  /** Not a method of this family, or none that a client may call. */
  none: 0,
  /** Answered by the gateway. */
  local: 1,
  /** Routed by the name of a tool, a prompt, or by a URI. */
  tool: 2,
  prompt: 3,
  resource: 4,
  /** Routed by the prompt or template that a completion refers to. */
  complete: 5,
  /** Answered by the gateway, for a resource that is routed by its URI. */
  subscribe: 6,
  /** Not known to the gateway: routed by the method itself, if a server is configured for it. */
  unknown: 7,
  /** About a task: answered by the front, judged by the tool that made it. */
  task: 8,
} as const;

const lists: readonly number[] = [Method.toolsList, Method.promptsList, Method.resourcesList, Method.templatesList];
const legacyOnly: readonly number[] = [Method.initialize, Method.ping, Method.setLevel];
const modernOnly: readonly number[] = [Method.discover, Method.subscriptionsListen];
const legacyTasks: readonly number[] = [Method.tasksGet, Method.tasksResult, Method.tasksCancel];
const modernTasks: readonly number[] = [Method.tasksGet, Method.tasksUpdate, Method.tasksCancel];

function actions(own: readonly number[], tasks: readonly number[]): Uint8Array {
  const table = new Uint8Array(METHODS.length);
  for (const method of [...lists, ...own]) table[method] = Action.local;
  for (const method of tasks) table[method] = Action.task;
  table[Method.toolsCall] = Action.tool;
  table[Method.promptsGet] = Action.prompt;
  table[Method.resourcesRead] = Action.resource;
  table[Method.complete] = Action.complete;
  table[Method.unknown] = Action.unknown;
  for (let id: number = Method.initialized; id < METHODS.length; id += 1) table[id] = Action.local;
  return table;
}

const legacy = actions(legacyOnly, legacyTasks);
legacy[Method.resourcesSubscribe] = Action.subscribe;
legacy[Method.resourcesUnsubscribe] = Action.subscribe;
const modern = actions(modernOnly, modernTasks);

/** The {@link Action} for a method id or {@link Operation} in a family. */
export function actionOf(method: number, isModern: boolean): number {
  if (method >= Operation.stream) return Action.local;
  const table = isModern ? modern : legacy;
  return table[method] ?? Action.none;
}

/** Whether a method shows what the catalog has: its lists, and what the servers say of themselves. */
export function showsCatalog(method: number): boolean {
  return lists.includes(method) || method === Method.initialize || method === Method.discover;
}

/** The error for a target of an {@link Action} that does not exist. */
export function unknownError(action: number, isUri: boolean): number {
  if (action === Action.tool) return UNKNOWN_TOOL;
  if (action === Action.task) return UNKNOWN_TASK;
  if (action === Action.prompt || (action === Action.complete && !isUri)) return UNKNOWN_PROMPT;
  return UNKNOWN_RESOURCE;
}

/** Whether a call goes to a variant of its route: those that a server answers without state of earlier ones. */
export function isVaried(action: number): boolean {
  return action >= Action.tool && action <= Action.complete;
}

/** Whether an {@link Action} is a call, as `rateLimits.count: calls` counts them: one that goes to a server. */
export function isCall(action: number): boolean {
  return action >= Action.tool && action !== Action.subscribe && action !== Action.task;
}
