/**
 * `npm run conformance`: the official suite against the fixture alone, the gateway before it, and the gateway as a client.
 * Fails when a cell passes fewer required scenarios than test/conformance/expected.json says.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/package-root.js';
import { CELLS } from './cells.js';
import { runAgain, runMatrix } from './matrix.js';
import { type Expected, raised, regressions, renderFailures, renderTable } from './report.js';
import { installSuite, REVISIONS } from './suite.js';

const HELP = `npm run conformance -- [options]
  --only PATTERN     cells whose name holds this (regular expression, without case), for example 'modern'
  --revision R       only this revision: ${REVISIONS.join(', ')}
  --write-docs       write the table into docs/protocol.md, and into README.md if it has the markers
  --raise            write what was surpassed into test/conformance/expected.json
  The suite's own records are in .cache/conformance-results.
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    revision: { type: 'string' },
    'write-docs': { type: 'boolean', default: false },
    raise: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const EXPECTED_FILE = join(packageRoot, 'test/conformance/expected.json');
const log = (line: string) => process.stderr.write(`${line}\n`);

/** Puts the table between the markers of a document. @returns false when it has none */
function writeTable(document: string, table: string): boolean {
  const file = join(packageRoot, document);
  const [start, end] = ['<!-- conformance:start -->', '<!-- conformance:end -->'];
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) return false;
  writeFileSync(file, `${text.slice(0, from + start.length)}\n${table}${text.slice(to)}`);
  return true;
}

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const wanted = new RegExp(values.only ?? '', 'i');
  const revisions = REVISIONS.filter((revision) => values.revision === undefined || values.revision === revision);
  const cells = CELLS.filter(({ name }) => wanted.test(name));
  if (revisions.length === 0 || cells.length === 0) {
    process.stderr.write(HELP);
    return 2;
  }
  await installSuite(log);
  const expected = JSON.parse(readFileSync(EXPECTED_FILE, 'utf8')) as Expected;
  const matrix = await runAgain(cells, await runMatrix(cells, revisions, log), expected, log);
  const table = renderTable(matrix);
  process.stdout.write(`${renderFailures(matrix)}\n${table}`);
  if (values.raise) writeFileSync(EXPECTED_FILE, `${JSON.stringify(raised(matrix, expected), null, 2)}\n`);
  const partly = cells.length < CELLS.length || revisions.length < REVISIONS.length;
  if (values['write-docs'] && partly) throw new Error('--write-docs needs a run of everything');
  if (values['write-docs']) {
    if (!writeTable('docs/protocol.md', table)) throw new Error('docs/protocol.md has no conformance markers');
    if (!writeTable('README.md', table)) log('README.md has no conformance markers');
  }
  const worse = values.raise ? [] : regressions(matrix, expected);
  for (const line of worse) log(`fewer than before: ${line}`);
  return worse.length === 0 ? 0 : 1;
}

process.exitCode = await main();
