/** What a run of the matrix says: the table, what fails, and whether anything got worse. */
import { REVISIONS, type Revision, type SuiteRun } from './suite.js';

/** Runs by cell and revision. */
export type Matrix = ReadonlyMap<string, ReadonlyMap<Revision, SuiteRun>>;

/** Required scenarios that must pass, by cell and revision. */
export type Expected = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** A Markdown table: a row for each cell, a column for each revision, passed of required. */
export function renderTable(matrix: Matrix): string {
  const lines = [`| under test | ${REVISIONS.join(' | ')} |`, `| --- |${' --- |'.repeat(REVISIONS.length)}`];
  for (const [cell, runs] of matrix) {
    const columns = REVISIONS.map((revision) => {
      const run = runs.get(revision);
      return run === undefined ? '' : `${run.passed} of ${run.required}`;
    });
    lines.push(`| ${cell} | ${columns.join(' | ')} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** The scenarios that fail, each with its reason, for the terminal. */
export function renderFailures(matrix: Matrix): string {
  const lines: string[] = [];
  for (const [cell, runs] of matrix) {
    for (const [revision, { failures }] of runs) {
      for (const { scenario, message } of failures) lines.push(`${cell}, ${revision}: ${scenario}: ${message}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** Sentences about the cells that pass fewer scenarios than expected; a cell without a number fails too. */
export function regressions(matrix: Matrix, expected: Expected): string[] {
  const found: string[] = [];
  for (const [cell, runs] of matrix) {
    for (const [revision, { passed }] of runs) {
      const least = expected[cell]?.[revision];
      if (least === undefined) found.push(`${cell}, ${revision}: no expected number`);
      else if (passed < least) found.push(`${cell}, ${revision}: ${passed} passed, ${least} expected`);
    }
  }
  return found;
}

/** The expected numbers with those that were surpassed raised to what was reached; none is ever lowered. */
export function raised(matrix: Matrix, expected: Expected): Expected {
  const next: Record<string, Record<string, number>> = {};
  for (const [cell, numbers] of Object.entries(expected)) next[cell] = { ...numbers };
  for (const [cell, runs] of matrix) {
    const numbers = next[cell] ?? {};
    next[cell] = numbers;
    for (const [revision, { passed }] of runs) numbers[revision] = Math.max(passed, numbers[revision] ?? 0);
  }
  return next;
}
