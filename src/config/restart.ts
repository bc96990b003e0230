import { canonical } from './numbering.js';
import type { Snapshot } from './snapshot/index.js';

const SENTENCE = 'takes effect only after a restart; the running gateway keeps what it has';

/** Keys whose values are fixed at the start: sockets, threads, and the size of tables. */
const FIXED: readonly { readonly path: string; of(snapshot: Snapshot): unknown }[] = [
  { path: 'host', of: (snapshot) => snapshot.host },
  { path: 'port', of: (snapshot) => [snapshot.port, snapshot.listens] },
  { path: 'admin', of: (snapshot) => snapshot.admin },
  { path: 'workers', of: (snapshot) => snapshot.workers },
  { path: 'frontEnd', of: (snapshot) => snapshot.frontEnd },
  { path: 'log.format', of: (snapshot) => snapshot.log.format },
  { path: 'limits.maxBatch', of: (snapshot) => snapshot.limits.maxBatch },
  { path: 'limits.maxHeaderBytes', of: (snapshot) => snapshot.limits.maxHeaderBytes },
  { path: 'limits.maxInFlight', of: (snapshot) => snapshot.limits.maxInFlight },
  { path: 'limits.maxToolMetrics', of: (snapshot) => snapshot.limits.maxToolMetrics },
  { path: 'limits.ringBytes', of: (snapshot) => snapshot.limits.ringBytes },
];

/** One problem, `path: sentence`, for each difference that a reload cannot apply. */
export function restartProblems(before: Snapshot, next: Snapshot): string[] {
  return FIXED.filter(({ of }) => canonical(of(before)) !== canonical(of(next))).map(
    ({ path }) => `${path}: ${SENTENCE}`,
  );
}
