import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/**
 * What the test servers were really asked to do, one line a call, written before the call does anything.
 * A file, so that the record survives a server that is killed and shows what two generations of it received.
 */
export interface JournalEntry {
  /** Name of the tool or prompt, or URI of the resource. */
  readonly name: string;
  readonly event: 'called' | 'cancelled';
  /** The call's arguments. */
  readonly args: unknown;
  /** The server process that received it. */
  readonly pid: number;
}

/** The environment variable through which a test server learns where its journal is. */
export const JOURNAL_VARIABLE = 'SWITCHYARD_TEST_JOURNAL';

/** Called by the test servers. */
export function record(name: string, event: JournalEntry['event'], args: unknown): void {
  const file = process.env[JOURNAL_VARIABLE];
  if (file) appendFileSync(file, `${JSON.stringify({ name, event, args, pid: process.pid })}\n`);
}

/** Called by tests: everything recorded so far. */
export function readJournal(file: string): JournalEntry[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JournalEntry);
}
