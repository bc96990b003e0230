import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { secretRanges } from '../../src/secrets/shapes.js';
import { maskShapes } from '../../src/secrets/show.js';

const random = (length: number): string => `a1B2${'c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0'.repeat(3)}`.slice(0, length);
const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/** `<...>` is what must be masked. */
const ROWS: readonly string[] = [
  `<ghp_${random(36)}>`,
  `x=<github_pat_${random(60)}> y`,
  `<glpat-${random(20)}>`,
  `<sk-${random(40)}>`,
  `<sk-ant-api03-${random(80)}-AA>`,
  `<sk_live_${random(24)}>`,
  `<xoxb-1234567890-1234567890-${random(24)}>`,
  `<AKIAIOSFODNN7EXAMPLE>`,
  `<AIzaSyA${random(32)}>`,
  `<npm_${random(36)}>`,
  `<hf_${random(34)}>`,
  `<eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.${random(43)}>`,
  `/opt/<ghp_${random(36)}>/run`,
  `Authorization: Bearer <${random(20)}>`,
  `basic <dXNlcjpwYXNzd29yZDE=>`,
  `-----BEGIN PRIVATE KEY-----<${pem
    .split('\n')
    .slice(1, -2)
    .map((line) => `\n${line}`)
    .join('')}>-----END PRIVATE KEY----- end`,
  `-----BEGIN RSA PRIVATE KEY-----<abc>`,
  `https://<user:pass>@example.com:8443/a?b=<c>&d=<e>#<f>`,
  `https://<ghp_token>@github.com/a/b.git`,
  `postgres://<app:pa/ss>@db.example.com/x`,
  `see postgresql://<app:secret>@db/x and redis://<:pw>@h:1/0`,
  `Server=db;User Id=app;Password=<hunter2>;Encrypt=true`,
  `AccountName=a;AccountKey=<abc==>;EndpointSuffix=core`,
  `{"apiKey":"<hunter2>","level":"info"}`,
  `{\\"apiKey\\":\\"<hunter2>\\",\\"level\\":\\"info\\"}`,
  `{"token" : "<a\\"b>", "x": 1}`,
  `TOKEN=<abc> node x.js --api-key=<def> --port 8080`,
  `node x.js --api-key <def> --port 8080`,
  `PASSWORD=<"two words"> next`,
  `<${random(40)}>`,
  `<${createHash('sha1').update('x').digest('hex')}>`,
  'http://localhost:3000/mcp',
  'http://[::1]:3000/mcp',
  'https://packages.example.org/@modelcontextprotocol/server-everything',
  '@modelcontextprotocol/server-sequential-thinking@2026.1.14',
  '/home/me/projects/my-very-long-folder-name/node_modules/.bin/server',
  'MyVeryLongComponentNameForServer2024ProductionUse',
  '123e4567-e89b-12d3-a456-426614174000',
  `ghcr.io/github/github-mcp-server@sha256:${createHash('sha256').update('x').digest('hex')}`,
  'sha512-5yAyZ8gT0EukyjGWLh1FaR0vV5ZBXRlK4XJUZbxNB4ZkJLMmDVCXFbHwzGJqQXpyj9xZt9mA==',
  '-----BEGIN PUBLIC KEY-----MCowBQYDK2VwAyEA-----END PUBLIC KEY-----',
  'the basic functionality of a bearer of news',
  'risk-assessment-of-many-long-words-1',
  'must be "fatal", "error" or "warn"',
  'unknown key "prot"; did you mean "port"?',
  'a=b&c=d',
  '8080 true info',
];

for (const row of ROWS) {
  test(`of ${row.slice(0, 60).replaceAll('\n', ' ')} only what is marked is masked`, () => {
    assert.equal(maskShapes(row.replace(/[<>]/g, '')), row.replace(/<[^>]*>/g, '***'));
  });
}

test('nearly all random keys are found, in hexadecimal and in base64url', () => {
  let found = 0;
  for (let i = 0; i < 500; i += 1) {
    const bytes = createHash('sha256').update(`seed ${i}`).digest();
    for (const text of [bytes.toString('hex'), bytes.toString('base64url')]) found += secretRanges(text).length;
  }
  assert.ok(found >= 990, `${found} of 1000`);
  assert.equal(randomBytes(1).length, 1);
});

const piece = fc.oneof(
  fc.constantFrom(
    '://',
    '@',
    ':',
    '?',
    '=',
    '&',
    '"',
    '\\"',
    '--',
    '-----BEGIN ',
    'PRIVATE KEY-----',
    '-----END',
    'sk-',
  ),
  fc.constantFrom('eyJ', 'ghp_', 'Bearer ', 'token', 'apiKey', ' ', '\n', 'A1b2'.repeat(9)),
  fc.string({ maxLength: 6 }),
);

test('ranges are in order, apart from each other and within any text, and masking twice changes nothing', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = pieces.join('');
      let last = -1;
      for (const { start, end } of secretRanges(text)) {
        assert.ok(start > last && end > start && end <= text.length);
        last = end;
      }
    }),
    { numRuns: 3_000 },
  );
});

test('the work grows with the length of the text and not faster', () => {
  // Counted in characters looked at would need a hook; a text this long never ends when a pattern backtracks.
  for (const unit of [
    'eyJ_',
    'sk-',
    '://',
    '@',
    'a:',
    '"a":"',
    '--a ',
    'PRIVATE KEY-----',
    '-----BEGIN PRIVATE KEY-----',
    'x=',
    'bearer ',
  ]) {
    secretRanges(unit.repeat(Math.ceil(1_000_000 / unit.length)));
  }
});
