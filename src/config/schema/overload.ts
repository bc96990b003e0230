/** The overload guard and limits on calls at once. */
import { z } from 'zod';
import { flag, milliseconds, whole } from './fields.js';

/** Kinds of work that the overload guard can refuse, in the default order. */
export const SHED_KINDS = ['low', 'lists', 'reads', 'sessions', 'calls', 'high'] as const;

/** Priorities of routes. */
export const PRIORITIES = ['low', 'normal', 'high'] as const;

/** `overload` of the configuration. */
export const overloadSchema = z.strictObject({
  enabled: flag(true, 'Whether new work is refused while the gateway is overloaded.'),
  eventLoopDelayMs: milliseconds(
    500,
    'Delay of the event loop from which the gateway counts as overloaded: an average over half a second. Requests wait for this time before they are read.',
    { max: 60_000, zero: 'the delay is not watched' },
  ),
  maxMemoryBytes: whole(
    0,
    'Resident memory from which the gateway counts as overloaded. 90 % of the heap that Node.js allows count too.',
    {
      max: Number.MAX_SAFE_INTEGER,
      zero: '90 % of the memory of the container, or of the machine where there is none',
    },
  ),
  ringFullness: z
    .number()
    .min(0)
    .max(1)
    .default(0.75)
    .describe(
      'Used share of the ring of a policy worker from which the gateway counts as overloaded, 0 to 1. 0 = the rings are not watched.',
    ),
  order: z
    .array(z.enum(SHED_KINDS))
    .max(SHED_KINDS.length)
    .default([...SHED_KINDS])
    .describe(
      'What is refused, the first first; what is left out is never refused. `low`, `calls` and `high` = calls by the `priority` of their route, `lists` = lists and completion, `reads` = resources, prompts and the state of tasks, `sessions` = handshakes, subscriptions and `subscriptions/listen`. Pings, answers, notifications, cancellations, the end of sessions and calls that were begun are never refused.',
    ),
  retryAfterMs: milliseconds(
    1_000,
    'Time after which a refused client may try again: `Retry-After` and `data.retryAfterMs`.',
  ),
});

/** A limit on calls at once. @param text what it counts */
export function concurrent(text: string) {
  return whole(0, text, { max: 65_535, zero: 'no limit' });
}
