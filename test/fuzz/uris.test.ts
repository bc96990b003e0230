/**
 * The normal form of URIs against other readers: the WHATWG parser, `fileURLToPath`, and servers that decode a path before
 * they split it. `SWITCHYARD_FUZZ_MS` is the time for each property (default 1,500 ms), `SWITCHYARD_FUZZ_SEED` the seed.
 */
import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { Flag } from '../../native/layout.js';
import { isPlainUri } from '../../native/plain-uri.js';
import { looseReading, type NormalUri, normalUri } from '../../src/protocol/uri.js';
import { scan } from '../native/both.js';

const seed = Number(process.env['SWITCHYARD_FUZZ_SEED'] ?? 20260728);
const budget = Number(process.env['SWITCHYARD_FUZZ_MS'] ?? 1500);

console.log(`fuzz: seed ${seed}, ${budget} ms a property`);

function hold<T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>): void {
  fc.assert(property, { seed, interruptAfterTimeLimit: budget, numRuns: Number.MAX_SAFE_INTEGER });
}

const plain = (text: string): boolean => isPlainUri(Buffer.from(text), 0, Buffer.byteLength(text));
const isNormal = (read: NormalUri | string): read is NormalUri => typeof read !== 'string';

const scheme = fc.constantFrom(
  'file',
  'FILE',
  'http',
  'hTTps',
  'ws',
  'ftp',
  'secret',
  'Note',
  'git+ssh',
  'urn',
  'a.b-c',
);
const separator = fc.constantFrom('://', ':///', '://', ':///', ':/', ':', '::', ':\\\\', ':////');
const host = fc.constantFrom(
  ...[
    '',
    'localhost',
    'LOCALHOST',
    'plan',
    'Plan',
    'example.com',
    'EXAMPLE.com',
    'h:80',
    'h:443',
    'h:',
    'h:080',
    'a@b',
  ],
  ...[
    '127.0.0.1',
    '0x7f.1',
    '[::1]',
    '[::1',
    'xn--a',
    'b\u00fccher.de',
    'h%41',
    'a..b',
    '.',
    '..',
    'a_b',
    '-a',
    'a--b',
    '1.2.3',
  ],
);
const piece = fc.constantFrom(
  ...[
    '/',
    '/',
    '/',
    'secret',
    'x',
    'public',
    '.',
    '..',
    '...',
    '%2e',
    '%2E',
    '%2f',
    '%2F',
    '%5c',
    '\\',
    '%00',
    '%25',
    '%41',
    '%c3%bc',
  ],
  ...[
    '%C0%AF',
    '%FF',
    '%',
    '%zz',
    '%252e',
    'ü',
    ' ',
    '\t',
    '\n',
    '\0',
    '\u00a0',
    '?',
    '#',
    ':',
    ';',
    ';a=b',
    '@',
    '|',
    '^',
    '"',
    "'",
    '`',
    '{',
    '[',
    '*',
    '~',
  ],
);
const composed = fc
  .tuple(fc.constantFrom('', '', '', ' ', '\t', '\ufeff'), scheme, separator, host, fc.array(piece, { maxLength: 9 }))
  .map(([before, name, colon, authority, rest]) => `${before}${name}${colon}${authority}${rest.join('')}`);
const anything = fc.oneof(
  { weight: 6, arbitrary: composed },
  { weight: 1, arbitrary: fc.webUrl({ withFragments: true, withQueryParameters: true }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(...'file:/.%25eE#?@aA\\ \t'), maxLength: 20 }) },
);

test('what the scan takes for normal is in normal form, in both decoders', () => {
  hold(
    fc.property(anything, (uri) => {
      const message = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri } });
      const { status, spans } = scan(Buffer.from(message), 64);
      assert.equal(status, 'ok');
      const isPlain = (spans.flags & Flag.uriNotPlain) === 0;
      assert.equal(isPlain, plain(uri) && (spans.flags & Flag.nameEscaped) === 0);
      if (isPlain) assert.deepEqual(normalUri(uri), { text: uri, judged: uri });
    }),
  );
});

test('a normal form is one for every reader, and stays what it is', () => {
  hold(
    fc.property(anything, (uri) => {
      const read = normalUri(uri);
      if (!isNormal(read)) return;
      const { text, judged } = read;
      assert.match(text, /^[\x21-\x7e]+$/);
      assert.equal(new URL(text).href, text);
      assert.deepEqual(normalUri(text), read);
      const other = normalUri(new URL(uri).href);
      assert.ok(isNormal(other) && other.text === text && other.judged === judged);
      assert.equal(judged.toLowerCase(), text.toLowerCase());
      assert.equal(new URL(judged).pathname, new URL(text).pathname);
    }),
  );
});

/** What servers make of a URI: the path after the WHATWG parser, decoded, its dots and repeated slashes resolved. */
function served(uri: string): string | null {
  if (!URL.canParse(uri)) return null;
  const { protocol, host: authority, pathname } = new URL(uri);
  let path = pathname;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    // Servers that cannot decode it look at it as it is.
  }
  return `${protocol}//${authority.toLowerCase()}${posix.normalize(path.replaceAll('\\', '/'))}`;
}

const TARGETS = ['file:///secret/x', 'secret://plan', 'secret://plan/x', 'http://example.com/secret/x'];

/** One of the ways in which a spelling of a URI is changed to lead to the same place. */
const detour = fc.record({
  kind: fc.constantFrom('case', 'encode', 'dots', 'insert', 'slash', 'host', 'backslash'),
  at: fc.nat({ max: 40 }),
  text: fc.constantFrom(
    '\t',
    '\n',
    '\r',
    ' ',
    '\0',
    '/./',
    '/a/../',
    '//',
    '%2e',
    '/%2e/',
    '%2F',
    '/a/%2e%2e/',
    '/a/..;/',
    'localhost',
    'u@',
    ':80',
  ),
});

function apply(uri: string, { kind, at, text }: { kind: string; at: number; text: string }): string {
  const place = at % uri.length;
  const [head, character, tail] = [uri.slice(0, place), uri.charAt(place), uri.slice(place + 1)];
  switch (kind) {
    case 'case':
      return head + (character === character.toLowerCase() ? character.toUpperCase() : character.toLowerCase()) + tail;
    case 'encode':
      return `${head}%${character.charCodeAt(0).toString(16).padStart(2, '0')}${tail}`;
    case 'dots':
      return uri.replace(/\/(?=[^/]*$)/, '/a/../');
    case 'slash':
      return `${head}${character === '/' ? '//' : character}${tail}`;
    case 'host':
      return uri.replace('://', `://${text}`);
    case 'backslash':
      return `${head}${character === '/' ? '\\' : character}${tail}`;
    default:
      return `${head}${text}${character}${tail}`;
  }
}

test('no spelling leads a server to a protected URI that policy takes for another one', () => {
  hold(
    fc.property(fc.constantFrom(...TARGETS), fc.array(detour, { minLength: 1, maxLength: 4 }), (target, detours) => {
      const uri = detours.reduce(apply, target);
      const read = normalUri(uri);
      if (!isNormal(read)) return;
      if (served(read.text) !== served(target)) return;
      // Rules are matched with both readings (workers/find).
      const readings = [read.judged, looseReading(read.judged)].map((text) => text.split(/[?#]/)[0]);
      assert.ok(readings.includes(target), `${uri}: ${readings.join(' and ')}`);
    }),
  );
});

test('a file URI in normal form names the path that it shows', () => {
  hold(
    fc.property(
      composed.filter((uri) => /^file:/i.test(uri)),
      (uri) => {
        const read = normalUri(uri);
        if (!isNormal(read) || new URL(read.text).host !== '' || /%2F|%5C/i.test(read.text)) return;
        const path = fileURLToPath(read.text);
        assert.equal(fileURLToPath(uri), path);
        assert.equal(posix.normalize(path), path);
      },
    ),
  );
});
