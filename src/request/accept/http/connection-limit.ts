import { readFileSync } from 'node:fs';
import type { Count } from '../../../units.js';

/** Descriptors left to everything but clients: upstreams, children, files. At least so many, at least a quarter. */
const RESERVED = 64;

/**
 * How many clients may connect: `limits.maxConnections`, or what the process's limit of open files leaves. Accepting
 * without a descriptor to spare would fail again and again, and starve upstreams.
 */
export function connectionLimit(maxConnections: Count, openFiles: Count = openFileLimit()): Count {
  if (!Number.isFinite(openFiles)) return maxConnections;
  const left = openFiles - Math.max(RESERVED, Math.ceil(openFiles / 4));
  return Math.max(1, Math.min(maxConnections, left));
}

/** The soft limit of open files of this process (Linux); Infinity when there is none or it is not known. */
export function openFileLimit(): Count {
  try {
    const soft = /^Max open files +([0-9]+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return soft === null ? Number.POSITIVE_INFINITY : Number(soft[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
