/** Reading and making parts of the tree of a file, for those who rearrange it before it is checked. */
import type { Position, SourceEntry, SourceNode } from './index.js';

/** An object of the tree. */
export type ObjectNode = Extract<SourceNode, { kind: 'object' }>;

/** The text that a node is; null = it is none. */
export function textOf(node: SourceNode): string | null {
  return node.kind === 'scalar' && typeof node.value === 'string' ? node.value : null;
}

/** The number that a node is; null = it is none. */
export function numberOf(node: SourceNode): number | null {
  return node.kind === 'scalar' && typeof node.value === 'number' ? node.value : null;
}

/** Whether a node is `true` or `false`, as asked for. */
export function isFlag(node: SourceNode, value: boolean): boolean {
  return node.kind === 'scalar' && node.value === value;
}

/** The member with that key. */
export function find(node: ObjectNode, key: string): SourceEntry | undefined {
  return node.entries.find((entry) => entry.key === key);
}

/** The text under a key of an object; null = there is none. */
export function textAt(node: SourceNode, key: string): string | null {
  const entry = node.kind === 'object' ? find(node, key) : undefined;
  return entry === undefined ? null : textOf(entry.value);
}

/** An object without one of its members. */
export function without(node: ObjectNode, key: string): ObjectNode {
  return { ...node, entries: node.entries.filter((entry) => entry.key !== key) };
}

/** A member at the place of its value. */
export function member(key: string, value: SourceNode): SourceEntry {
  return { key, at: value.at, value };
}

/** An object of these members. */
export function object(at: Position | null, entries: readonly SourceEntry[]): ObjectNode {
  return { kind: 'object', at, entries };
}

/** A single value. */
export function scalar(value: string | number | boolean, at: Position | null): SourceNode {
  return { kind: 'scalar', at, value };
}
