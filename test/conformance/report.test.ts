/** The gate: what the suite printed is read as it was meant, and no number can go down unnoticed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isUnreachable } from '../support/registry.js';
import { type Matrix, raised, regressions, renderFailures, renderTable } from './report.js';
import { clientScenarios, type Revision, readRun, type SuiteRun } from './suite.js';

/** The end of a run's output, as the suite prints it. */
const OUTPUT = `Running requirements 2026-07-28 (4 scenarios) against http://127.0.0.1:1/mcp

=== SUMMARY ===
✗ server-stateless: 28 passed, 2 failed
✓ tools-list: 4 passed, 0 failed
✓ caching: 8 passed, 0 failed
✗ tasks-lifecycle: 1 passed, 8 failed

Total: 41 passed, 10 failed

Not scored for 2026-07-28: 1 scenario(s) run, 1 failing. These do not affect conformance.
  ✗ tasks-lifecycle (extension)
`;

const run = (passed: number, required = 3): SuiteRun => ({ passed, required, failures: [] });
const matrix = (passed: number): Matrix =>
  new Map([['a cell', new Map<Revision, SuiteRun>([['2026-07-28', run(passed)]])]]);

describe('the output of the suite', () => {
  it('counts required scenarios only, and tells why one failed', () => {
    const read = readRun(OUTPUT, (scenario) => `${scenario} broke`);
    assert.deepEqual(read, {
      passed: 2,
      required: 3,
      failures: [{ scenario: 'server-stateless', message: 'server-stateless broke' }],
    });
    const text = renderFailures(new Map([['a cell', new Map([['2026-07-28', read]])]]));
    assert.equal(text, 'a cell, 2026-07-28: server-stateless: server-stateless broke\n');
  });

  it('names what is required of clients', () => {
    const list = `Required for 2025-11-25:

Server scenarios (test against a server):
  - server-initialize

Client scenarios (test against a client):
  - initialize
  - auth/basic-cimd

Run and reported, but never scored:
  extension (1):
    - auth/dpop [client]
`;
    assert.deepEqual(clientScenarios(list), ['initialize', 'auth/basic-cimd']);
    assert.deepEqual(clientScenarios('Error: unknown requirement set'), []);
  });

  it('without a summary is an error, not a pass', () => {
    assert.throws(() => readRun('Error: connect ECONNREFUSED', () => ''), /ECONNREFUSED/);
  });
});

describe('the gate', () => {
  it('tells of fewer passes, and of a cell without a number', () => {
    const expected = { 'a cell': { '2026-07-28': 2 } };
    assert.deepEqual(regressions(matrix(2), expected), []);
    assert.deepEqual(regressions(matrix(3), expected), []);
    assert.deepEqual(regressions(matrix(1), expected), ['a cell, 2026-07-28: 1 passed, 2 expected']);
    assert.equal(regressions(matrix(3), {}).length, 1);
  });

  it('raises numbers and never lowers them', () => {
    const expected = { 'a cell': { '2026-07-28': 2, '2025-11-25': 9 }, another: { '2026-07-28': 5 } };
    assert.deepEqual(raised(matrix(3), expected), {
      'a cell': { '2026-07-28': 3, '2025-11-25': 9 },
      another: { '2026-07-28': 5 },
    });
    assert.deepEqual(raised(matrix(1), expected), expected);
  });

  it('shows passed of required in a table', () => {
    assert.equal(
      renderTable(matrix(1)),
      '| under test | 2026-07-28 | 2025-11-25 |\n| --- | --- | --- |\n| a cell | 1 of 3 |  |\n',
    );
  });
});

describe('an install that fails', () => {
  it('is excused only for want of a network', () => {
    for (const code of ['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ETIMEDOUT']) {
      assert.ok(isUnreachable(`npm error code ${code}\nnpm error network request to https://registry failed`), code);
    }
    for (const code of ['E404', 'ETARGET', 'EACCES', 'ENOSPC', 'EINTEGRITY', 'E401']) {
      assert.ok(!isUnreachable(`npm error code ${code}\nnpm error once it was ETIMEDOUT`), code);
    }
  });
});
