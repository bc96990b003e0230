/** Kinds of work by which the overload guard refuses requests (`overload.order`). */
import { Kind, METHODS, Method } from '../../../native/layout.js';
import type { RouteSnapshot } from '../../config/snapshot/index.js';
import { type Exchange, MessageFlag } from '../exchange/index.js';

/** Kinds of work; the numbers are positions in `SHED_KINDS` of the configuration. */
export const Work = { never: -1, low: 0, lists: 1, reads: 2, sessions: 3, calls: 4, high: 5 } as const;
export type Work = (typeof Work)[keyof typeof Work];

const LISTS = [Method.toolsList, Method.promptsList, Method.resourcesList, Method.templatesList, Method.tasksList];
const READS = [Method.promptsGet, Method.resourcesRead, Method.tasksGet];
const SESSIONS = [Method.initialize, Method.discover, Method.subscriptionsListen, Method.resourcesSubscribe];

/** By method; what is not named here ends work, answers, or costs nothing. */
const BY_METHOD = new Int8Array(METHODS.length).fill(Work.never);
for (const method of [...LISTS, Method.complete]) BY_METHOD[method] = Work.lists;
for (const method of READS) BY_METHOD[method] = Work.reads;
for (const method of SESSIONS) BY_METHOD[method] = Work.sessions;
for (const method of [Method.toolsCall, Method.unknown]) BY_METHOD[method] = Work.calls;

/** What a decoded message is; a request that goes on with a call is no new work. */
export function workOf({ message: { flags, spans } }: Exchange): Work {
  if (spans.kind !== Kind.request || (flags & MessageFlag.hasInputResponses) !== 0) return Work.never;
  return workOfMethod(spans.method);
}

/** What a request with that method is, unless it goes on with a call. */
export function workOfMethod(method: number): Work {
  return (BY_METHOD[method] ?? Work.never) as Work;
}

/** What a message is that a route with a priority has matched. @param route null = none */
export function workOnRoute(exchange: Exchange, route: Pick<RouteSnapshot, 'priority'> | null): Work {
  const work = workOf(exchange);
  if (work === Work.never || route === null || route.priority === 'normal') return work;
  return Work[route.priority];
}

/** Whether the route of a request with that method decides what it is: only then it waits for the decision of the policy. */
export function mayHaveRoute(method: number): boolean {
  return (
    method === Method.toolsCall ||
    method === Method.unknown ||
    method === Method.promptsGet ||
    method === Method.resourcesRead ||
    method === Method.complete
  );
}
