import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { routedServers } from '../../src/catalog/offered.js';
import { patternFaults, rulePatterns } from '../../src/catalog/pattern-faults.js';
import type { Snapshot } from '../../src/config/snapshot/index.js';
import { EntryFlag } from '../../src/shared/catalog-table.js';
import { catalog, rateLimits, route, server, snapshot, tokenBucket, toolLimit } from '../workers/fixture.js';

const TABLE = catalog([
  ['tool', 0, 'files__read', 'read'],
  ['tool', 0, 'files__a_b', 'a.b', EntryFlag.renamed],
  ['prompt', 1, 'search__ask', 'ask'],
  ['resource', 0, 'file:///etc/motd', 'file:///etc/motd'],
  ['template', 1, 'data://{+path}', 'data://{+path}'],
]);
const two = [server('files'), server('search')];

/** The findings about a configuration, each as `path: detail`. */
function faults(changes: Partial<Snapshot>, table: typeof TABLE | null = TABLE): string[] {
  const whole = { ...snapshot({ servers: two }), ...changes };
  return patternFaults(rulePatterns(whole), routedServers(whole), table).map(
    ({ path, detail }) => `${path}: ${detail}`,
  );
}

const limits = (tools: string[], match: object = {}) => ({
  rateLimits: rateLimits({
    perTool: [toolLimit(tools, tokenBucket(1, 1))],
    rules: [
      {
        match: { headers: [], paths: [], principals: [], scopes: [], tools: [], prompts: [], resources: [], ...match },
        rule: tokenBucket(1, 1),
        key: null,
      },
    ],
  }),
});
const cached = (changes: Partial<Snapshot['cache']>) => ({ cache: { ...snapshot().cache, ...changes } });

describe('a pattern of a limit that matches nothing', () => {
  it('is named with its place and with what to write instead, and no other is', () => {
    const tools = ['files__read', 'files:a.b', 'files__a.b', 'read', '*', 'ask', 'search__ask'];
    const match = {
      tools: [{ regex: 'x+' }, '**'],
      prompts: ['search:*', 'files__*'],
      resources: ['file:///etc/*', 'data://x', 'other://*'],
    };
    assert.deepEqual(faults(limits(tools, match)), [
      'rateLimits.perTool[0].tools: "read" matches nothing that is offered in the lists of tools (the own name of what is offered as files__read: write "files:read")',
      'rateLimits.perTool[0].tools: "ask" matches nothing that is offered in the lists of tools',
      'rateLimits.perTool[0].tools: "search__ask" matches nothing that is offered in the lists of tools',
      'rateLimits.rules[0].match.tools: { regex: "x+" } matches nothing that is offered in the lists of tools',
      'rateLimits.rules[0].match.prompts: "files__*" matches nothing that is offered in the lists of prompts',
      'rateLimits.rules[0].match.resources: "other://*" matches nothing that is offered in the lists of resources',
    ]);
  });

  it('is none where URIs that are not listed can be read', () => {
    const other = limits(['files__read'], { resources: ['other://*'] });
    assert.deepEqual(faults({ ...other, routes: [route('r', { resources: ['other://x/**'], servers: [1] })] }), []);
    assert.equal(faults({ ...other, routes: [route('r', { resources: ['file:///**'], servers: [1] })] }).length, 1);
    assert.deepEqual(faults({ ...other, servers: two.slice(0, 1) }), []);
  });

  it('is none while a server that may offer it is not listed', () => {
    const late = catalog([['tool', 0, 'files__read', 'read']], 1, [1]);
    assert.deepEqual(faults(limits(['search__x', 'search:x', '*x']), late), []);
    assert.equal(faults(limits(['files__x', 'x']), late).length, 2);
    assert.deepEqual(faults(limits(['files__read'], { resources: ['other://*'] }), late), []);
  });

  it('is named from the configuration alone where no server can have such a name', () => {
    assert.deepEqual(faults(limits(['admin__x', 'files__x']), null), [
      'rateLimits.perTool[0].tools: "admin__x" matches nothing that a server can offer in the lists of tools',
    ]);
  });
});

describe('a pattern of the cache that matches nothing', () => {
  const patterns = ['files__*', 'search__ask', 'file:///etc/motd', 'read', 'nothing__*'];
  const named = (found: string[]): string[] => found.map((text) => /"(.+?)"/.exec(text)?.[1] ?? text);

  it('is compared with what is stored', () => {
    const one = cached({ tools: true, patterns });
    assert.deepEqual(named(faults(one)), ['search__ask', 'file:///etc/motd', 'read', 'nothing__*']);
    assert.deepEqual(named(faults(cached({ tools: true, prompts: true, resources: true, patterns }))), [
      'read',
      'nothing__*',
    ]);
    assert.match(
      faults(cached({ tools: true, prompts: true, patterns: ['x'] }))[0]!,
      /^cache\.patterns: "x" matches nothing that is offered in the lists of tools and prompts$/,
    );
    assert.deepEqual(faults(cached({ patterns })), []);
    assert.deepEqual(faults(cached({ tools: true, enabled: false, patterns })), []);
  });

  it('is compared with own names where it excludes', () => {
    assert.deepEqual(named(faults(cached({ tools: true, exclude: patterns }))), [
      'search__ask',
      'file:///etc/motd',
      'nothing__*',
    ]);
  });
});
