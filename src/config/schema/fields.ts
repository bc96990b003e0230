/** Building blocks of the schema: a field has its unit, range, default and the meaning of 0 in one place. */
import { z } from 'zod';
import type { PlaceKind } from '../../secrets/show.js';

const spellings = new WeakMap<object, readonly string[]>();

/** Lets `field` be written under other names too: those of other clients' files, or short forms. Apply it last. */
export function alias<T extends z.ZodType>(field: T, ...names: string[]): T {
  spellings.set(field, names);
  return field;
}

/** The other names of a field, without the snake_case spelling, which every key has. */
export function aliasesOf(field: object): readonly string[] {
  return spellings.get(field) ?? [];
}

const kinds = new WeakMap<object, PlaceKind>();

/** Declares what `field` and everything below it holds, which decides how it is shown; default `text`. Apply it last. */
export function holds<T extends z.ZodType>(kind: PlaceKind, field: T): T {
  kinds.set(field, kind);
  return field;
}

/** What {@link holds} declared for a field. */
export function kindOf(field: object): PlaceKind | undefined {
  return kinds.get(field);
}

/** Bounds of a number. */
export interface NumberRange {
  /** Smallest value; default 1. A minimum of 0 needs `zero`. */
  readonly min?: number;
  readonly max: number;
  /** What 0 means. */
  readonly zero?: string;
}

/** A whole number with a default. */
export function whole(fallback: number, text: string, range: NumberRange) {
  const min = range.min ?? (range.zero === undefined ? 1 : 0);
  const zero = range.zero === undefined ? '' : ` 0 = ${range.zero}.`;
  return z
    .int()
    .min(min)
    .max(range.max)
    .default(fallback)
    .describe(text + zero);
}

/** One day, the longest duration in milliseconds. */
const DAY_MS = 86_400_000;
/** The largest timer of Node.js is 2^31 - 1 ms; sizes share the bound. */
const MAX_SIZE = 2_147_483_647;

/** A duration in milliseconds, at most a day. */
export function milliseconds(fallback: number, text: string, range: Partial<NumberRange> = {}) {
  return whole(fallback, text, { max: DAY_MS, ...range });
}

/** A size in bytes, at most 2 GiB. */
export function bytes(fallback: number, text: string, range: Partial<NumberRange> = {}) {
  return whole(fallback, text, { max: MAX_SIZE, ...range });
}

/** A switch with a default. */
export function flag(fallback: boolean, text: string) {
  return z.boolean().default(fallback).describe(text);
}

/** One string or a list of strings. */
export function strings() {
  return z.union([z.string().min(1), z.array(z.string().min(1))]);
}

/** The list form of what {@link strings} accepts. */
export function list(value: string | readonly string[] | undefined): string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : [...value];
}

/** A map with free names as keys. */
export function named<T extends z.ZodType>(value: T) {
  return z.record(z.string(), value);
}

/** Bytes of a KiB and of a MiB (IEC 80000-13). */
export const KIB = 1024;
export const MIB = 1024 * 1024;
