import { type CodeOf, codes } from '../codes.js';

/** The protocol revisions, oldest first; the position is the revision's number everywhere in the gateway. */
export const REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'] as const;

/** Numbers of {@link REVISIONS}. */
export const Revision = {
  none: -1,
  r2024_11_05: 0,
  r2025_03_26: 1,
  r2025_06_18: 2,
  r2025_11_25: 3,
  r2026_07_28: 4,
} as const;

/** The newest legacy revision (the answer to an `initialize` with an unknown version). */
export const LATEST_LEGACY = Revision.r2025_11_25;

/** The one modern revision. */
export const MODERN = Revision.r2026_07_28;

/** Legacy = `initialize` and sessions; modern = stateless, per-request `_meta` (2026-07-28 and later). */
export const Era = codes('Era', { legacy: 0, modern: 1 });
export type Era = CodeOf<typeof Era>;

/**
 * The newest legacy revision that is not newer than `version`, and the oldest one where all are. Versions compare as ISO
 * dates.
 */
export function nearestLegacy(version: string): number {
  let revision: number = LATEST_LEGACY;
  while (revision > 0 && (REVISIONS[revision] ?? '') > version) revision -= 1;
  return revision;
}

/** The number of `version`, or -1. */
export function revisionNumber(version: string): number {
  return (REVISIONS as readonly string[]).indexOf(version);
}
