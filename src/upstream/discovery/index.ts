import type { LimitsSnapshot } from '../../config/snapshot/index.js';
import { Era } from '../../protocol/revisions.js';
import { type Packed, packedCount, packedText } from '../../shared/packed.js';
import type { Milliseconds } from '../../units.js';
import { ControlError } from '../core/control.js';
import type { Discovery, ListChanges } from '../core/types.js';
import { type DiscoverySource, EMPTY_LIST, type List, type ListOutcome, type ListReport, readList } from './list.js';

/** The lists in the order in which they are read. */
const LISTS = [
  { name: 'tools', method: 'tools/list', key: 'tools', capability: 'tools' },
  { name: 'prompts', method: 'prompts/list', key: 'prompts', capability: 'prompts' },
  { name: 'resources', method: 'resources/list', key: 'resources', capability: 'resources' },
  { name: 'templates', method: 'resources/templates/list', key: 'resourceTemplates', capability: 'resources' },
] as const;

/** A list that takes longer does not delay the other ones. */
const SLOW_LIST_MS: Milliseconds = 1_000;
/** Time limit of a list request that no capability announces: the server may ignore it. */
const UNDECLARED_MS: Milliseconds = 3_000;
const METHOD_NOT_FOUND = -32_601;

/** What one reading of all lists found. */
export interface Reading {
  readonly discovery: Discovery;
  /** By position in the order of reading. */
  readonly lists: readonly List[];
  /** One clause for each list that could not be read, beginning with its method. */
  readonly failures: readonly string[];
}

/** What a reading is reported to while it goes on. */
export interface DiscoveryReport extends ListReport {
  /** Some lists are read, and others take long: these are what they were before, or empty. */
  partial(reading: Reading): void;
}

/**
 * Reads all lists that the server's capabilities name, one after the other. A server that declares none is asked for all of
 * them, until a reading has found nothing. A list that cannot be read is what it was in `before`, or has the pages before the
 * one that failed, and takes nothing from the other lists.
 *
 * @param before the last reading, or null
 * @throws ControlError when no list can be read and there is no reading before
 */
export async function discover(
  source: DiscoverySource,
  limits: LimitsSnapshot,
  timeoutMs: Milliseconds,
  report: DiscoveryReport,
  before: Reading | null = null,
): Promise<Reading> {
  const { capabilities } = source.handshake;
  const isUndeclared = !LISTS.some(({ capability }) => offers(capabilities, capability));
  const asksUndeclared = isUndeclared && (before === null || before.lists.some(hasItems));
  const outcomes: (ListOutcome | undefined)[] = LISTS.map(() => undefined);
  const readings = [];
  for (const [position, { method, key, capability }] of LISTS.entries()) {
    if (!asksUndeclared && !offers(capabilities, capability)) {
      outcomes[position] = { list: EMPTY_LIST, error: null };
      continue;
    }
    const request = { method, key, limits, timeoutMs: isUndeclared ? Math.min(timeoutMs, UNDECLARED_MS) : timeoutMs };
    const reading = readList(source, request, report).then((outcome) => {
      const isAbsent = isUndeclared || (capability !== 'tools' && isMethodNotFound(outcome.error));
      outcomes[position] = outcome.error !== null && isAbsent ? { list: EMPTY_LIST, error: null } : outcome;
    });
    readings.push(reading);
    await settledOrSlow(reading);
  }
  if (outcomes.includes(undefined)) {
    if (outcomes.some((outcome) => outcome?.error === null && hasItems(outcome.list))) {
      report.partial(assembled(source, outcomes, before));
    }
    await Promise.all(readings);
  }
  const reading = assembled(source, outcomes, before);
  const isFailure = outcomes.every(
    (outcome, position) => outcome?.error !== null || !offers(capabilities, LISTS[position]!.capability),
  );
  if (before === null && reading.failures.length > 0 && isFailure && !reading.lists.some(hasItems)) {
    throw new ControlError('invalid', reading.failures.join('; '));
  }
  return reading;
}

/** @param outcomes undefined = the list is not read yet */
function assembled(
  { server, handshake }: DiscoverySource,
  outcomes: readonly (ListOutcome | undefined)[],
  before: Reading | null,
): Reading {
  const lists = outcomes.map((outcome, position) => chosen(outcome, before?.lists[position]));
  const failures = outcomes.flatMap((outcome, position) =>
    outcome === undefined || outcome.error === null ? [] : [`${LISTS[position]?.method}: ${outcome.error.message}`],
  );
  const [tools = EMPTY_LIST, prompts = EMPTY_LIST, resources = EMPTY_LIST, templates = EMPTY_LIST] = lists;
  const ttlMs = Math.min(...lists.map((list) => list.ttlMs));
  const discovery: Discovery = {
    server,
    era: handshake.era,
    revision: handshake.revision,
    capabilities: handshake.capabilities,
    instructions: handshake.instructions,
    serverInfo: handshake.serverInfo,
    tools: tools.items,
    prompts: prompts.items,
    resources: resources.items,
    templates: templates.items,
    ttlMs: handshake.era === Era.modern && Number.isFinite(ttlMs) ? ttlMs : 0,
    cacheScope: handshake.era === Era.modern && lists.every((list) => !list.isPrivate) ? 'public' : 'private',
  };
  return { discovery, lists, failures };
}

/** A whole list of before is better than the first pages of one that fails now, and these are better than earlier ones. */
function chosen(outcome: ListOutcome | undefined, before: List | undefined): List {
  if (outcome?.error === null) return outcome.list;
  if (before !== undefined && (before.isWhole || outcome === undefined || !hasItems(outcome.list))) return before;
  return outcome?.list ?? EMPTY_LIST;
}

/** Resolves when the list is read, at the latest after {@link SLOW_LIST_MS}. */
async function settledOrSlow(reading: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slow = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SLOW_LIST_MS);
  });
  await Promise.race([reading, slow]);
  clearTimeout(timer);
}

function hasItems({ items }: List): boolean {
  return packedCount(items) > 0;
}

/** Servers often refuse a list of a kind that they have, templates above all: it counts as empty. */
function isMethodNotFound(error: ControlError | null): boolean {
  return error?.kind === 'rpc' && error.number === METHOD_NOT_FOUND;
}

/** The reading that an earlier run of the gateway has left. */
export function restoredReading(discovery: Discovery): Reading {
  const lists = LISTS.map(({ name }) => ({ items: discovery[name], ttlMs: 0, isPrivate: true, isWhole: true }));
  return { discovery, lists, failures: [] };
}

/** Whether two discoveries are the same, byte for byte. */
export function sameDiscovery(a: Discovery, b: Discovery): boolean {
  return (
    a.era === b.era &&
    a.revision === b.revision &&
    a.instructions === b.instructions &&
    a.cacheScope === b.cacheScope &&
    JSON.stringify([a.capabilities, a.serverInfo]) === JSON.stringify([b.capabilities, b.serverInfo]) &&
    LISTS.every(({ name }) => sameItems(a[name], b[name]))
  );
}

/** The names of the items that only the second list has. Items without a readable name are left out. */
export function addedNames(before: Packed, after: Packed): string[] {
  const known = new Set(itemNames(before));
  return itemNames(after).filter((name) => !known.has(name));
}

/** The names of tools or prompts; items without one are left out. */
export function itemNames(items: Packed): string[] {
  return Array.from({ length: packedCount(items) }, (_, index) => {
    try {
      return String((JSON.parse(packedText(items, index)) as { name?: unknown }).name ?? '');
    } catch {
      return '';
    }
  }).filter((name) => name !== '');
}

/** The lists that differ between two discoveries of one server; resource templates count as resources. */
export function changedLists(a: Discovery, b: Discovery): ListChanges {
  return {
    tools: !sameItems(a.tools, b.tools),
    prompts: !sameItems(a.prompts, b.prompts),
    resources: !sameItems(a.resources, b.resources) || !sameItems(a.templates, b.templates),
  };
}

function sameItems(a: Packed, b: Packed): boolean {
  return (
    a.offsets.length === b.offsets.length && sameBytes(bytesOf(a.offsets), bytesOf(b.offsets)) && sameContent(a, b)
  );
}

function sameContent(a: Packed, b: Packed): boolean {
  const used = a.offsets.at(-1)!;
  return sameBytes(a.bytes.subarray(0, used), b.bytes.subarray(0, used));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A capability is an object; some servers write `true`. */
function offers(capabilities: Record<string, unknown>, kind: string): boolean {
  const capability = capabilities[kind];
  return capability !== undefined && capability !== null && capability !== false;
}
