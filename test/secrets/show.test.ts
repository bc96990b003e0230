import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expand } from '../../src/config/expand.js';
import { type PlaceKind, showText } from '../../src/secrets/show.js';

const ENV = { TOKEN: 'value-of-token', NAME: 'x', URL: 'https://h.example/private/path/mcp?key=abcdefgh', EMPTY: '' };

/** Written text (`#` stands for `$`), kind of place, key, argument before it; how it is shown. */
const ROWS: readonly [written: string, kind: PlaceKind, name: string, before: string, shown: string][] = [
  ['plain', 'text', '', '', 'plain'],
  ['a #{TOKEN} b', 'text', '', '', 'a #{TOKEN} b'],
  ['#{NAME}', 'text', '', '', '#{NAME}'],
  ['#{EMPTY}x', 'text', '', '', '#{EMPTY}x'],
  ['#{env:TOKEN}', 'text', '', '', '#{env:TOKEN}'],
  ['#{MISSING:-8080}', 'text', '', '', '8080'],
  ['#{TOKEN:-8080}', 'text', '', '', '#{TOKEN}'],
  ['#{MISSING:-#{TOKEN}}', 'text', '', '', '#{TOKEN}'],
  ['##{TOKEN}', 'text', '', '', '#{TOKEN}'],
  ['https://u:#{TOKEN}@h/?a=b&c=#{NAME}', 'text', '', '', 'https://***#{TOKEN}@h/?a=***&c=#{NAME}'],
  ['hunter2', 'secret', 'token', '', '***'],
  ['#{TOKEN}', 'secret', 'token', '', '#{TOKEN}'],
  ['pre-#{TOKEN}-post', 'secret', 'token', '', '***#{TOKEN}***'],
  ['', 'secret', 'token', '', ''],
  ['production', 'variables', 'NODE_ENV', '', '***'],
  ['#{NAME}', 'variables', 'NODE_ENV', '', '#{NAME}'],
  ['Bearer hunter2', 'headers', 'Authorization', '', 'Bearer ***'],
  ['Bearer #{TOKEN}', 'headers', 'authorization', '', 'Bearer #{TOKEN}'],
  ['abc', 'headers', 'X-Tenant', '', '***'],
  ['text/html', 'headers', 'Accept-Language', '', 'text/html'],
  ['--api-key=hunter2', 'arguments', '', '', '--api-key=***'],
  ['--api-key=#{TOKEN}', 'arguments', '', '', '--api-key=#{TOKEN}'],
  ['hunter2', 'arguments', '', '--password', '***'],
  ['-hunter2', 'arguments', '', '--password', '***'],
  ['--port', 'arguments', '', '--no-auth', '--port'],
  ['8080', 'arguments', '', '--port', '8080'],
  ['GITHUB_TOKEN=hunter2', 'arguments', '', '-e', 'GITHUB_TOKEN=***'],
  ['TENANT=acme', 'arguments', '', '-e', 'TENANT=***'],
  ['TENANT=acme', 'arguments', '', '', 'TENANT=acme'],
  ['API_TOKEN=a b', 'arguments', '', '', 'API_TOKEN=***'],
  ['--env=TENANT=acme', 'arguments', '', '', '--env=TENANT=***'],
  ['Authorization: Bearer hunter2', 'arguments', '', '--header', 'Authorization: Bearer ***'],
  ['Authorization:Bearer hunter2', 'arguments', '', '-H', 'Authorization:Bearer ***'],
  ['Authorization: Bearer #{TOKEN}', 'arguments', '', '--header', 'Authorization: Bearer #{TOKEN}'],
  ['--header=X-Tenant: acme', 'arguments', '', '', '--header=X-Tenant: ***'],
  ['Accept: text/html', 'arguments', '', '--header', 'Accept: text/html'],
  ['X-Api-Key: hunter2', 'arguments', '', '', 'X-Api-Key: ***'],
  ['{"apiKey":"hunter2","a":1}', 'arguments', '', '--config', '{"apiKey":"***","a":1}'],
  ['mysql://app:pw@db/x', 'arguments', '', '', 'mysql://***@db/x'],
];
const dollar = (text: string): string => text.replaceAll('#', '$');

for (const [written, kind, name, before, shown] of ROWS) {
  test(`${dollar(written)} in ${kind} after "${before}" is shown as ${dollar(shown)}`, () => {
    const { text, runs } = expand(dollar(written), { env: ENV, folder: '/' });
    assert.equal(showText({ text, runs, kind, name, before }).shown, dollar(shown));
  });
}

const secretsOf = (written: string, kind: PlaceKind, name = '', before = ''): string[] => {
  const { text, runs } = expand(dollar(written), { env: ENV, folder: '/' });
  return showText({ text, runs, kind, name, before }).secrets.map(({ value, shown }) => `${value} ${shown}`);
};

test('a secret is known by its value, one from a variable with the name of the variable', () => {
  assert.deepEqual(secretsOf('pre#{TOKEN}', 'secret'), [dollar('value-of-token #{TOKEN}'), 'pre ***']);
  assert.deepEqual(secretsOf('Bearer hunter2', 'headers', 'Authorization'), ['hunter2 ***']);
  assert.deepEqual(secretsOf('hunter2', 'arguments', '', '--password'), ['hunter2 ***']);
  assert.deepEqual(secretsOf('plain', 'text'), []);
});

test('an environment variable with a harmless name is hidden where it stands, and nowhere else', () => {
  assert.deepEqual(secretsOf('production', 'variables', 'NODE_ENV'), []);
  assert.deepEqual(secretsOf('hunter2', 'variables', 'DB_PASSWORD'), ['hunter2 ***']);
});

test('the parts of an address in a variable are known, too', () => {
  const known = secretsOf('#{URL}', 'text');
  for (const part of [ENV.URL, 'abcdefgh', '/private/path/mcp'])
    assert.ok(known.includes(dollar(`${part} #{URL}`)), part);
});
