/**
 * The official conformance suite as a part of all tests: the gateway must pass what it has passed before. The suite comes
 * from the npm registry at its first run. Without a network the test fails, unless SWITCHYARD_CONFORMANCE=off says that
 * it may be left out.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { RegistryUnreachable } from '../support/registry.js';
import { CELLS } from './cells.js';
import { runAgain, runMatrix } from './matrix.js';
import { type Expected, regressions, renderFailures, renderTable } from './report.js';
import { installSuite, REVISIONS } from './suite.js';

/** A minute where nothing else runs; milliseconds. */
const LONGEST_MS = 600_000;

test('the conformance suite passes with the gateway as it has before', { timeout: LONGEST_MS }, async (t) => {
  const log = (line: string): void => t.diagnostic(line);
  try {
    await installSuite(log);
  } catch (error) {
    if (!(error instanceof RegistryUnreachable)) throw error;
    assert.equal(
      process.env['SWITCHYARD_CONFORMANCE'],
      'off',
      `${error.message}\nSWITCHYARD_CONFORMANCE=off leaves the suite out where there is no network.`,
    );
    log('conformance was NOT run: the npm registry cannot be reached, and SWITCHYARD_CONFORMANCE=off');
    return;
  }
  const expected = JSON.parse(readFileSync(join(packageRoot, 'test/conformance/expected.json'), 'utf8')) as Expected;
  const first = await runMatrix(CELLS, REVISIONS, () => {});
  const matrix = await runAgain(CELLS, first, expected, log);
  for (const line of renderTable(matrix).trimEnd().split('\n')) log(line);
  assert.deepEqual(regressions(matrix, expected), [], renderFailures(matrix));
});
