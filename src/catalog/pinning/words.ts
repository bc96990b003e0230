/** Deviations from the lockfile in words. */
import type { PinnedTools, ToolDefinition } from '../../config/snapshot/pinning.js';
import type { Count } from '../../units.js';
import type { Deviation } from './compare.js';
import { differences, visible } from './differences.js';

/** Differences of one tool that the log and `/stats` show. */
const BRIEF: Count = 3;
/** Differences of one tool that a report shows. */
const FULL: Count = 50;

const NOT_KEPT = 'its definition differs; the lockfile holds only the hash of the former one';

/** A deviation in one clause, for the log. */
export function inWords({ kind, pinnedAs }: Deviation, pins: PinnedTools, definition: ToolDefinition): string {
  if (kind === 'renamed') return `it is ${JSON.stringify(visible(pinnedAs))} of the lockfile under another name`;
  if (kind === 'new') return 'it is not in the lockfile';
  const was = pins.get(pinnedAs)?.definition ?? null;
  if (was === null) return NOT_KEPT;
  const found = differences(was, definition, BRIEF + 1);
  const shown = found
    .slice(0, BRIEF)
    .map((each) => `${each.place} was ${each.was ?? 'absent'}, is ${each.is ?? 'absent'}`);
  return [...shown, ...(found.length > BRIEF ? ['and more'] : [])].join('; ');
}

/** A deviation in lines, for a report: as a diff, the former value behind `-`, the present one behind `+`. */
export function inLines(
  { kind, name, pinnedAs }: Deviation,
  server: string,
  pins: PinnedTools,
  definition: ToolDefinition | null,
): string[] {
  const shown = visible(`${server}:${name}`);
  if (kind === 'renamed') return [`renamed  ${shown}, was ${visible(pinnedAs)}`];
  if (kind === 'missing' || definition === null) return [`missing  ${shown}`];
  const was = kind === 'new' ? {} : (pins.get(pinnedAs)?.definition ?? null);
  const head = `${kind.padEnd(7)}  ${shown}`;
  if (was === null) return [head, `  ${NOT_KEPT}`];
  const found = differences(was, definition, FULL + 1);
  const lines = found
    .slice(0, FULL)
    .flatMap(({ place, was: before, is: after }) => [
      `  ${place}`,
      ...(before === null ? [] : [`    - ${before}`]),
      ...(after === null ? [] : [`    + ${after}`]),
    ]);
  return [head, ...lines, ...(found.length > FULL ? ['  and more'] : [])];
}
