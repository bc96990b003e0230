/** The example of docs/caching.md does what the page says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { packageRoot } from '../../src/package-root.js';
import { gatewayHere } from '../support/gateway.js';
import { everythingStdio } from '../support/upstreams.js';

const PAGE = readFileSync(join(packageRoot, 'docs/caching.md'), 'utf8');

/** A command of the page and the lines below it. */
interface Step {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly output: readonly string[];
}

function stepsOf(text: string): Step[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...output] = part.trim().split('\n');
      const headers = [...command.matchAll(/-H '([^:]+): ([^']+)'/g)].map(([, name, value]) => [name, value]);
      return {
        url: new URL(/http:\S+/.exec(command)?.[0] ?? ''),
        headers: Object.fromEntries(headers) as Record<string, string>,
        body: /-d '([^']+)'/.exec(command)?.[1] ?? '',
        output,
      };
    });
}

/** Times are different each time. */
const timeless = (line: string): string =>
  line.replaceAll(/(ttl=|age: |Ms":)\d+/g, '$1N').replaceAll(/"version":"[^"]+"/g, '"version":"N"');

test('docs/caching.md: the example answers as it says', async (scope) => {
  const config = parse(/```yaml\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? '');
  config.mcpServers.demo = everythingStdio();
  const gateway = await gatewayHere(scope, config);
  // A list waits for the servers that were not listed yet; a tool that is not listed is not stored.
  assert.match(await (await fetch(`${gateway.origin}/tools`)).text(), /demo__echo/);
  const steps = stepsOf(/```console\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? '');
  assert.equal(steps.length, 5);
  for (const { url, headers, body, output } of steps) {
    const origin = url.port === '8000' ? gateway.origin : gateway.adminUrl;
    const response = await fetch(`${origin}${url.pathname}`, { method: 'POST', headers, body });
    const text = (await response.text()).trim();
    const fields = ['age', 'cache-status'].flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [`${name}: ${value}`];
    });
    assert.deepEqual([...fields, text].map(timeless), output.map(timeless), url.pathname);
  }
});
