import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../src/package-root.js';
import { startProcess } from '../support/process.js';

interface CheckModule {
  problemsOf(source: string, ignoreFile: string, scripts: Record<string, string>): string[];
}

const script = join(packageRoot, 'scripts/check-dockerfile.mjs');
const { problemsOf } = (await import(pathToFileURL(script).href)) as CheckModule;
const source = readFileSync(join(packageRoot, 'Dockerfile'), 'utf8');
const ignoreFile = readFileSync(join(packageRoot, '.dockerignore'), 'utf8');
const scripts = { build: 'node scripts/run.mjs build' };

test('the Dockerfile names only paths, programs and scripts that exist', () => {
  assert.deepEqual(problemsOf(source, ignoreFile, scripts), []);
});

const mistakes: [string, string, string, RegExp][] = [
  ['a missing file', 'COPY tsconfig.json ./', 'COPY tsconfig.yaml ./', /tsconfig\.yaml does not exist/],
  ['an ignored folder', 'COPY src src', 'COPY test test', /test is left out by \.dockerignore/],
  ['a stage that is not there', '--from=build /app/dist', '--from=builder /app/dist', /no earlier stage builder/],
  ['an unknown npm script', 'npm run build', 'npm run compile', /no script compile/],
  ['a program the image lacks', 'RUN npm prune', 'RUN curl -O x && npm prune', /curl is not part of the base image/],
  ['root', 'USER node', 'USER root', /runs as root/],
  ['no health check', /HEALTHCHECK .*/.exec(source)?.[0] ?? '', '', /no HEALTHCHECK/],
  ['a moved entry point', '"bin/switchyard.js"', '"bin/start.js"', /bin\/start\.js does not exist/],
];

for (const [what, from, to, expected] of mistakes) {
  test(`the check finds ${what}`, () => {
    assert.ok(from !== '' && source.includes(from));
    const problems = problemsOf(source.replaceAll(from, to), ignoreFile, scripts);
    assert.match(problems.join('\n'), expected);
  });
}

test('what the Dockerfile describes installs, builds, starts, is healthy, serves a call and drains', async (t) => {
  const replay = startProcess(t, process.execPath, [script, '--replay']);
  const { code } = await replay.exited;
  assert.equal(code, 0, replay.output);
  assert.match(replay.stdout, /starts, is healthy, serves a call and drains/);
});
