import { readFileSync } from 'node:fs';
import type { Count } from '../../../units.js';

/** Least number of descriptors that are reserved for upstreams, children and files; a quarter of the limit if that is more. */
const RESERVED: Count = 64;

/**
 * How many clients may connect: `limits.maxConnections`, or less where the process's limit of open files requires it.
 * Without free descriptors accept(2) would fail repeatedly, and so would connections to upstreams.
 */
export function connectionLimit(maxConnections: Count, openFiles: Count = openFileLimit()): Count {
  if (!Number.isFinite(openFiles)) return maxConnections;
  const left = openFiles - Math.max(RESERVED, Math.ceil(openFiles / 4));
  return Math.max(1, Math.min(maxConnections, left));
}

/** The soft limit of open files of this process (Linux); Infinity when there is none or it is unknown. */
export function openFileLimit(): Count {
  try {
    const soft = /^Max open files +([0-9]+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return soft === null ? Number.POSITIVE_INFINITY : Number(soft[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
