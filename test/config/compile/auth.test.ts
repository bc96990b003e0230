import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { authWarnings } from '../../../src/config/auth-warnings.js';
import { compileSnapshot } from '../../../src/config/compile/index.js';
import { loadConfigFile } from '../../../src/config/load.js';
import { tempFolder } from '../../support/process.js';
import { problemsOfObject, snapshotOfObject } from '../support.js';

const auth = (value: object) => ({ auth: value });

test('bearer tokens are given as a list or by subject', () => {
  const expected = {
    type: 'bearer',
    scheme: 1,
    waitsFor: null,
    tokens: [
      { token: 'alice-token', subject: 'alice', scopes: ['a', 'b'], permissions: ['read'], metadata: { team: '7' } },
      { token: 'bob-token=', subject: 'bob', scopes: [], permissions: [], metadata: {} },
    ],
  };
  const list = [
    { token: 'alice-token', subject: 'alice', scopes: 'a b', permissions: 'read', metadata: { team: 7 } },
    { token: 'bob-token=', subject: 'bob' },
  ];
  assert.deepEqual(snapshotOfObject(auth({ type: 'bearer', tokens: list })).auth.providers, [expected]);
  const map = {
    alice: { token: 'alice-token', scopes: ['a', 'b'], permissions: ['read'], metadata: { team: 7 } },
    bob: 'bob-token=',
  };
  assert.deepEqual(snapshotOfObject(auth({ type: 'bearer', tokens: map })).auth.providers, [expected]);
});

const SECRET = 'x'.repeat(32);
const ecKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const PUBLIC_PEM = ecKey.publicKey.export({ type: 'spki', format: 'pem' }) as string;
const PRIVATE_PEM = ecKey.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const PRIVATE_JWK = JSON.stringify(ecKey.privateKey.export({ format: 'jwk' }));
const PUBLIC_JWK = ecKey.publicKey.export({ format: 'jwk' });
const WEAK_RSA_PEM = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey.export({
  type: 'spki',
  format: 'pem',
});
const jwt = (value: object) => auth({ type: 'jwt', audience: 'https://gateway.example/mcp', ...value });

const view = (changes: object, more: object = {}) => ({
  ...auth({ type: 'bearer', tokens: { a: 'token-of-a' } }),
  views: { '/v': changes },
  ...more,
});

const AUTH_FAULTS: readonly [name: string, value: object, problem: RegExp][] = [
  [
    'a view that is open on a host that others reach',
    view({ auth: { type: 'none' } }, { host: '0.0.0.0' }),
    /^views\["\/v"\]\.auth: opens this path to everybody on a "host" that is reachable/,
  ],
  [
    'a view without providers that needs scopes',
    view({ auth: { type: 'none' }, requiredScopes: 'a' }),
    /^views\["\/v"\]\.requiredScopes: nobody has scopes without "auth"/,
  ],
  [
    'two tables of tokens of a view',
    view({ auth: [1, 2].map((i) => ({ type: 'bearer', tokens: { a: `token-of-${i}` } })) }),
    /^views\["\/v"\]\.auth\[1\]\.type: stands twice/,
  ],
  ['no type', auth({}), /^auth\.type: needs a known "type"/],
  ['an unknown type', auth({ type: 'magic' }), /^auth\.type: needs a known "type"/],
  ['an empty list', auth([]), /^auth: must name at least one provider/],
  ['none in a list', auth([{ type: 'none' }]), /^auth\[0\]\.type: none cannot stand in a list/],
  ['an unknown type in a list', auth([{ type: 'magic' }]), /^auth\[0\]\.type: needs a known "type"/],
  ['no users', auth({ type: 'basic', users: {} }), /^auth\.users: must name at least one user/],
  [
    'a user name with a colon',
    auth({ type: 'basic', users: { 'a:b': 'x' } }),
    /^auth\.users\["a:b"\]: a user name has/,
  ],
  [
    'half a bcrypt hash',
    auth({ type: 'basic', users: { a: '$2b$10$abc' } }),
    /^auth\.users\.a: is no whole bcrypt hash/,
  ],
  [
    'a bcrypt hash that takes minutes',
    auth({ type: 'basic', users: { a: `$2b$31$${'a'.repeat(53)}` } }),
    /between 4 and 14/,
  ],
  [
    'a scrypt hash of 16 GiB',
    auth({ type: 'basic', users: { a: { password: `$scrypt$ln=20,r=128,p=1$c2FsdA$${'a'.repeat(43)}` } } }),
    /^auth\.users\.a\.password: is no scrypt hash that can be used/,
  ],
  ['an unknown hash', auth({ type: 'basic', users: { a: '$argon2id$v=19$x' } }), /use scrypt or bcrypt/],
  ['no keys', auth({ type: 'apiKey', keys: {} }), /^auth\.keys: must name at least one key/],
  ['a key with a space', auth({ type: 'apiKey', keys: { a: 'two words' } }), /^auth\.keys\.a: may hold only visible/],
  [
    'a key in Authorization',
    auth({ type: 'apiKey', header: 'Authorization', keys: { a: 'a'.repeat(8) } }),
    /another meaning/,
  ],
  [
    'a header with "_"',
    auth({ type: 'apiKey', header: 'X_KEY', keys: { a: 'a'.repeat(8) } }),
    /^auth\.header: must be the name/,
  ],
  [
    'two providers of one header',
    auth([
      { type: 'apiKey', keys: { a: 'a'.repeat(8) } },
      { type: 'apiKey', header: 'x-api-key', keys: { a: 'b'.repeat(8) } },
    ]),
    /^auth\[1\]\.header: is the header of another provider/,
  ],
  [
    'two tables of tokens',
    auth([
      { type: 'bearer', tokens: { a: 'a'.repeat(8) } },
      { type: 'bearer', tokens: { a: 'b'.repeat(8) } },
    ]),
    /^auth\[1\]\.type: stands twice/,
  ],
  [
    'two issuers, one without a name',
    auth([
      { type: 'jwt', audience: 'a', secret: 'x'.repeat(32), issuer: 'i' },
      { type: 'jwt', audience: 'a', secret: 'y'.repeat(32) },
    ]),
    /^auth\[1\]: needs "issuer"/,
  ],
  [
    'one issuer twice',
    auth([
      { type: 'jwt', audience: 'a', secret: 'x'.repeat(32), issuer: 'i' },
      { type: 'jwt', audience: 'b', secret: 'y'.repeat(32), issuer: 'i' },
    ]),
    /^auth\[1\]\.issuer: is the issuer of another provider/,
  ],
  [
    'introspection in the clear',
    auth({ type: 'oauth2', introspectionUrl: 'http://a.example/', clientId: 'c', clientSecret: 's' }),
    /^auth\.introspectionUrl: must start with https/,
  ],
  [
    'a network that is none',
    auth({ type: 'proxyHeader', trustedProxies: '10.0.0.0/33' }),
    /^auth\.trustedProxies: must be IP/,
  ],
  ['no network', auth({ type: 'proxyHeader', trustedProxies: [] }), /^auth\.trustedProxies: must name at least one/],
  [
    'a public URL with a path',
    { publicUrl: 'https://a.example/mcp' },
    /^publicUrl: must be scheme, host and port only/,
  ],
  ['no tokens', auth({ type: 'bearer', tokens: [] }), /^auth\.tokens: must name at least one/],
  [
    'a short token',
    auth({ type: 'bearer', tokens: { a: 'short' } }),
    /^auth\.tokens\.a: must be at least 8 characters/,
  ],
  [
    'a token with a space',
    auth({ type: 'bearer', tokens: { a: 'two words here' } }),
    /^auth\.tokens\.a: may hold only/,
  ],
  [
    'a token twice',
    auth({ type: 'bearer', tokens: { a: 'same-token', b: { token: 'same-token' } } }),
    /^auth\.tokens\.b\.token: is the same/,
  ],
  ['no audience', auth({ type: 'jwt', secret: SECRET }), /^auth\.audience: must be a string or a list/],
  ['an empty audience list', jwt({ secret: SECRET, audience: [] }), /^auth\.audience: must name at least one audience/],
  ['audience false', jwt({ secret: SECRET, audience: false }), /^auth\.audience: must be/],
  ['no key', jwt({}), /^auth: needs exactly one of "secret"/],
  [
    'two keys',
    jwt({ secret: SECRET, publicKey: PUBLIC_PEM }),
    /^auth\.publicKey: needs exactly one of|^auth\.algorithms/,
  ],
  ['a short secret', jwt({ secret: 'x'.repeat(31) }), /^auth\.secret: must be at least 32 characters/],
  [
    'a secret shorter than the hash',
    jwt({ secret: SECRET, algorithms: ['HS512'] }),
    /^auth\.secret: must be at least 64 bytes long for HS512/,
  ],
  ['alg none', jwt({ secret: SECRET, algorithms: ['none'] }), /^auth\.algorithms\[0\]: must be "HS256"/],
  [
    'a public-key algorithm with a secret',
    jwt({ secret: SECRET, algorithms: ['RS256'] }),
    /^auth\.algorithms: RS256 needs a public key/,
  ],
  [
    'a secret algorithm with a public key',
    jwt({ publicKey: PUBLIC_PEM, algorithms: ['HS256'] }),
    /^auth\.algorithms: HS256 needs "secret"/,
  ],
  ['a private key', jwt({ publicKey: PRIVATE_PEM }), /^auth\.publicKey: is a private or secret key/],
  ['a private JWK', jwt({ publicKey: PRIVATE_JWK }), /^auth\.publicKey: is a private or secret key/],
  ['a secret JWK', jwt({ publicKey: '{"kty":"oct","k":"c2VjcmV0"}' }), /^auth\.publicKey: is a private or secret key/],
  [
    'PEM around nonsense',
    jwt({ publicKey: PUBLIC_PEM.replace('MFk', 'xxx') }),
    /^auth\.publicKey: is not a public key/,
  ],
  ['a JWK of no known type', jwt({ publicKey: '{"kty":"XX"}' }), /^auth\.publicKey: is not a public key/],
  ['an empty key set', jwt({ publicKey: '{"keys":[]}' }), /^auth\.publicKey: fits none of the algorithms/],
  [
    'a key of another curve',
    jwt({ publicKey: PUBLIC_PEM, algorithms: 'ES384' }),
    /^auth\.publicKey: fits none of .* ES384/,
  ],
  ['an elliptic key for RSA', jwt({ publicKey: PUBLIC_PEM, algorithms: ['RS256'] }), /^auth\.publicKey: fits none/],
  ['a weak RSA key', jwt({ publicKey: WEAK_RSA_PEM, algorithms: ['RS256'] }), /^auth\.publicKey: fits none/],
  ['text as a key', jwt({ publicKey: 'hello' }), /^auth\.publicKey: must be PEM/],
  ['a missing key file', jwt({ publicKeyFile: 'no-such.pem' }), /^auth\.publicKeyFile: the file cannot be read/],
  [
    'a key set over plain HTTP',
    jwt({ jwksUrl: 'http://login.example.com/jwks' }),
    /^auth\.jwksUrl: must start with https/,
  ],
  ['a key set that is no URL', jwt({ jwksUrl: 'jwks.json' }), /^auth\.jwksUrl: must be a URL/],
  [
    'a generous clock',
    jwt({ secret: SECRET, clockToleranceSeconds: 61 }),
    /^auth\.clockToleranceSeconds: must be at most 60/,
  ],
  ['a key of another type', jwt({ secret: SECRET, tokens: [] }), /^auth: unknown key "tokens"/],
];

for (const [name, value, problem] of AUTH_FAULTS) {
  test(`authentication with ${name} is refused, without showing it`, () => {
    const problems = problemsOfObject(value);
    assert.match(problems[0] as string, problem);
    assert.doesNotMatch(problems.join('\n'), /xxxxxxxx|same-token|two words|BEGIN PRIVATE KEY-----\n/);
  });
}

test('public keys are taken as PEM, as JWK and as a key set', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey;
  const edwards = generateKeyPairSync('ed25519').publicKey;
  const keys = [
    PUBLIC_PEM,
    JSON.stringify(PUBLIC_JWK),
    JSON.stringify({
      keys: [
        { ...PUBLIC_JWK, kid: 'a' },
        { ...rsa.export({ format: 'jwk' }), kid: 'b' },
      ],
    }),
    rsa.export({ type: 'spki', format: 'pem' }),
    edwards.export({ type: 'spki', format: 'pem' }),
  ];
  for (const publicKey of keys) {
    const [compiled] = snapshotOfObject(jwt({ publicKey })).auth.providers;
    assert.equal(compiled?.type === 'jwt' && compiled.publicKey, String(publicKey).trim());
  }
});

test('a PEM key may stand on one line, as in a variable', () => {
  const [compiled] = snapshotOfObject(jwt({ publicKey: PUBLIC_PEM.trim().replaceAll('\n', '\\n') })).auth.providers;
  assert.equal(compiled?.type === 'jwt' && compiled.publicKey, PUBLIC_PEM.trim());
});

test('the metadata address can be carried by a header', () => {
  const metadata = (resourceMetadata: string) =>
    auth({ type: 'bearer', tokens: { a: 'token-of-a' }, resourceMetadata });
  const compiled = snapshotOfObject(metadata('https://a.example/x"y\r\nSet-Cookie: z')).auth;
  assert.equal(compiled.resourceMetadata, 'https://a.example/x%22ySet-Cookie:%20z');
  assert.match(problemsOfObject(metadata('ftp://a.example/'))[0] as string, /^auth\.resourceMetadata: must start with/);
});

test('a key file is read, relative to the configuration file', async (t) => {
  const folder = await tempFolder(t);
  await writeFile(join(folder, 'key.pem'), PUBLIC_PEM);
  const file = join(folder, 'gateway.yaml');
  await writeFile(
    file,
    'auth: { type: jwt, audience: [a, b], publicKeyFile: key.pem, algorithms: ES256, issuer: i }\nsessions: { keyFile: s.key }\nmcpServers: { a: { command: x, cwd: sub } }\n',
  );
  const snapshot = compileSnapshot(await loadConfigFile(file));
  const [provider] = snapshot.auth.providers;
  assert.ok(provider?.type === 'jwt');
  assert.equal(provider.publicKey, PUBLIC_PEM.trim());
  assert.deepEqual([provider.algorithms, provider.audience, provider.issuer], [['ES256'], ['a', 'b'], 'i']);
  assert.deepEqual([snapshot.sessions.keyFile, snapshot.sessions.isKeyFileOptional], [join(folder, 's.key'), false]);
  const [endpoint] = snapshot.servers[0]?.endpoints ?? [];
  assert.equal(endpoint?.transport === 'stdio' && endpoint.cwd, join(folder, 'sub'));
});

test('a list of providers is required authentication, and settings that permit much are said', () => {
  const providers = [
    { type: 'bearer', tokens: { a: 'token-of-a' } },
    { type: 'jwt', audience: 'a', secret: SECRET, issuer: 'i', verifyExpiry: false },
  ];
  const snapshot = snapshotOfObject({ host: '0.0.0.0', ...auth(providers) });
  const { auth: compiled } = snapshot;
  assert.deepEqual(
    compiled.providers.map(({ type }) => type),
    ['bearer', 'jwt'],
  );
  assert.match(authWarnings(snapshot).join(), /^auth\.verifyExpiry is false: tokens of i are accepted for ever/);
});

test('a view has the providers of the gateway, or its own with their realm; what it permits is permitted and said', () => {
  const own = { type: 'jwt', audience: 'a', secret: SECRET, issuer: 'i', verifyExpiry: false };
  const views = { '/own/mcp': { auth: own }, '/open': { auth: { type: 'none' } }, '/same': {} };
  const snapshot = snapshotOfObject({
    host: '0.0.0.0',
    allowUnauthenticated: true,
    ...auth({ type: 'bearer', tokens: { a: 'token-of-a' } }),
    views,
  });
  const of = snapshot.views.map(
    (each) => each.auth && [each.auth.realm, ...each.auth.providers.map(({ type }) => type)],
  );
  assert.deepEqual(of, [null, ['/own', 'jwt'], ['/open'], null]);
  assert.match(authWarnings(snapshot).join(), /^views\["\/own\/mcp"\]\.auth\.verifyExpiry is false: tokens of i/);
});

test('a provider knows the key that the check of its credentials may wait for', () => {
  const url = 'https://login.example.com/x';
  const tables = [
    { type: 'bearer', tokens: { ann: 'token-of-ann' } },
    { type: 'apiKey', keys: { ann: 'key-of-ann' } },
    { type: 'proxyHeader', trustedProxies: '10.0.0.1' },
    jwt({ secret: SECRET, issuer: 'a' }).auth,
  ];
  const others = [
    { type: 'basic', users: { ann: 'password' } },
    jwt({ jwksUrl: url, issuer: 'b' }).auth,
    { type: 'oauth2', introspectionUrl: url, clientId: 'c', clientSecret: 's' },
  ];
  const causes = (value: object) => snapshotOfObject(auth(value)).auth.providers.map(({ waitsFor }) => waitsFor);
  assert.deepEqual(causes([...tables, ...others]), [
    ...tables.map(() => null),
    'room among auth[4].maxWaiting',
    'the keys of auth[5].jwksUrl',
    'the answer of auth[6].introspectionUrl',
  ]);
  assert.deepEqual(causes(others[1]!), ['the keys of auth.jwksUrl']);
});
