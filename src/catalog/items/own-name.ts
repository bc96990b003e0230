/** Adds the upstream's name to a tool or prompt that is offered under another one, for people and for clients that show it. */
import { applyEdits, type Edit, objectMembers, toLatin1 } from './json-text.js';

/** The member of `_meta` that holds the upstream's name. */
export const ORIGINAL_NAME = 'switchyard/originalName';

/** @param text the item: its bytes as a latin-1 text */
export function withOwnName(text: string, name: string): string {
  const members = objectMembers(text, 0);
  const own = toLatin1(JSON.stringify(name));
  const edits: Edit[] = [];
  const end = text.lastIndexOf('}');
  const insert = (start: number, added: string): void => {
    edits.push({ start, end: start, text: added });
  };
  const meta = members.findLast(({ key }) => key === '_meta');
  let added = hasTitle(text, members) ? '' : `,"title":${own}`;
  if (meta === undefined) {
    added += `,"_meta":{"${ORIGINAL_NAME}":${own}}`;
  } else {
    const isEmpty = objectMembers(text, meta.valueStart).length === 0;
    insert(meta.valueStart + 1, `"${ORIGINAL_NAME}":${own}${isEmpty ? '' : ','}`);
  }
  insert(end, added);
  return applyEdits(text, edits);
}

/** Whether the item has a title for people; that of a tool may be in its annotations. */
function hasTitle(text: string, members: ReturnType<typeof objectMembers>): boolean {
  if (members.some(({ key }) => key === 'title')) return true;
  const annotations = members.findLast(({ key }) => key === 'annotations');
  return annotations !== undefined && objectMembers(text, annotations.valueStart).some(({ key }) => key === 'title');
}
