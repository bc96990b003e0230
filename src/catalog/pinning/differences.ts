/** Where two definitions differ, for people: one place a line, and nothing that a terminal or a reader would not see. */
import type { ToolDefinition } from '../../config/snapshot/pinning.js';
import type { Count } from '../../units.js';

/** Characters of a value that are shown. */
const SHOWN: Count = 240;
/** Characters before the first difference of two texts that are shown. */
const LEAD: Count = 40;

/** One place in which two definitions differ. */
export interface Difference {
  /** As `inputSchema.properties.path.type`. */
  readonly place: string;
  /** JSON text, shortened; null = there is nothing. */
  readonly was: string | null;
  readonly is: string | null;
}

/** @param max most that are returned */
export function differences(was: ToolDefinition, is: ToolDefinition, max: Count): Difference[] {
  const found: Difference[] = [];
  collect('', was, is, max, found);
  return found;
}

/** A name or text from outside in one line of visible characters. */
export function visible(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    return Array.from({ length: character.length }, (_, at) => unicode(character.charCodeAt(at))).join('');
  });
}

function unicode(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`;
}

function collect(place: string, was: unknown, is: unknown, max: Count, found: Difference[]): void {
  if (found.length >= max) return;
  if (isTree(was) && isTree(is) && Array.isArray(was) === Array.isArray(is)) {
    for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
      const [before, after] = [was, is].map((tree) => (Object.hasOwn(tree, key) ? tree[key] : undefined));
      collect(below(place, key), before, after, max, found);
    }
    return;
  }
  const [before, after] = [was, is].map((value) => (value === undefined ? null : JSON.stringify(value)));
  if (before !== after) found.push({ place, ...around(before ?? null, after ?? null) });
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function below(place: string, key: string): string {
  const shown = /^[\w$-]{1,80}$/.test(key) ? key : visible(JSON.stringify(key.slice(0, 80)));
  return place === '' ? shown : `${place}.${shown}`;
}

/** Both texts from shortly before their first difference on. */
function around(was: string | null, is: string | null): { was: string | null; is: string | null } {
  let same = 0;
  if (was !== null && is !== null) while (same < was.length && was[same] === is[same]) same += 1;
  const start = same > 2 * LEAD ? same - LEAD : 0;
  const cut = (text: string | null): string | null => {
    if (text === null) return null;
    const end = start + SHOWN;
    let shown = text.slice(start, end);
    // Words stay whole, or a part of a secret would be shown, which nobody recognises.
    if (start > 0) shown = `...${shown.replace(/^[^\s"]*/, '')}`;
    if (text.length > end) shown = `${shown.replace(/[^\s"]*$/, '')}...`;
    return visible(shown);
  };
  return { was: cut(was), is: cut(is) };
}
