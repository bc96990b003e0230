import type { Canaries } from './secret-places.js';

/** Rules with a variable at every place that a pattern may stand at, as one, in a list and as a regular expression. */
export function ruleTexts(canaries: Canaries): Record<string, unknown> {
  const at = canaries.at.bind(canaries);
  const regex = (place: string): object => ({ regex: at(`${place}.regex`, (canary) => `${canary}|/mcp|internal`) });
  const match = (form: (place: string) => unknown): object => {
    const known = ['tools', 'prompts', 'resources', 'methods', 'principals', 'scopes'].map((key) => [
      key,
      form(`routes[].match.${key}`),
    ]);
    return {
      ...Object.fromEntries(known),
      headers: { 'X-A': form('routes[].match.headers.*') },
      arguments: { '/a': form('routes[].match.arguments.*') },
    };
  };
  const limited = (form: (place: string) => unknown): object => {
    const kinds = ['tools', 'prompts', 'resources'].map((kind) => [kind, form(`rateLimits.rules[].match.${kind}`)]);
    return { match: Object.fromEntries(kinds), rate: 1 };
  };
  const one = (key: string, text: string): unknown => canaries.published(`routes[].match.${key}`, text);
  const some = (key: string, text: string): unknown[] => [canaries.published(`routes[].match.${key}[]`, text)];
  return {
    mcpServers: { a: { command: process.execPath, tags: ['internal'] } },
    rateLimits: {
      rules: [
        limited((place) => at(place)),
        limited((place) => [at(`${place}[]`)]),
        limited(regex),
        limited((place) => [regex(`${place}[]`)]),
      ],
    },
    routes: [
      { match: { ...match((place) => at(place)), paths: one('paths', '/mcp'), tags: one('tags', 'internal') } },
      {
        match: {
          ...match((place) => [at(`${place}[]`)]),
          paths: some('paths', '/mcp'),
          tags: some('tags', 'internal'),
        },
      },
      { match: match(regex) },
      { match: { paths: regex('routes[].match.paths'), tags: regex('routes[].match.tags') } },
      { match: match((place) => [regex(`${place}[]`)]) },
      { match: { paths: [regex('routes[].match.paths[]')], tags: [regex('routes[].match.tags[]')] } },
      {
        variants: {
          by: { header: canaries.published('routes[].variants.by.header', 'X-Id') },
          responseHeader: canaries.published('routes[].variants.responseHeader', 'X-Group'),
          groups: [
            {
              name: canaries.published('routes[].variants.groups[].name', 'b'),
              servers: [canaries.published('routes[].variants.groups[].servers[]', 'a')],
            },
            { name: 'c', servers: canaries.published('routes[].variants.groups[].servers', 'a') },
          ],
        },
      },
      {
        match: { tools: 'x' },
        variants: {
          by: { argument: canaries.published('routes[].variants.by.argument', '/a') },
          groups: [{ name: 'c', servers: 'a' }],
        },
      },
    ],
  };
}
