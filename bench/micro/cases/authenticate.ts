import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { CREDENTIAL_SEPARATOR, Scheme } from '../../../src/shared/scheme.js';
import { Authenticator, Outcome } from '../../../workers/authenticate/index.js';
import { Inquiries } from '../../../workers/authenticate/inquiries.js';
import { KeySources } from '../../../workers/authenticate/keys.js';
import { Revoked } from '../../../workers/authenticate/revoked.js';
import { mintTokens } from '../../load/gateway-config.js';
import { FULL, snapshotOf } from '../fixture.js';
import { type Case, keep } from '../runner.js';

const CLIENTS = 64;

/** @param config with the `auth` that is measured */
function authenticator(config: object): { readonly subject: Authenticator; readonly scheme: number } {
  const { auth } = snapshotOf(config);
  const counters = new Counters(counterMemory(1, 1), 0);
  const keys = new KeySources({ requestKeys() {} }, []);
  const until = Date.now() / 1000 + 3600;
  const inquiries: Inquiries = new Inquiries({
    inquire(id, inquiry) {
      const claims = { sub: inquiry.kind === 'introspect' ? inquiry.token : '' };
      setImmediate(() => inquiries.receive(id, { outcome: 'active', claims, until }));
    },
  });
  const refusals = { tokenRefused() {} };
  const context = { counters, keys, inquiries, revoked: new Revoked([]), refusals };
  return { subject: new Authenticator(auth, context), scheme: auth.providers[0]?.scheme ?? Scheme.none };
}

/** As `make` makes them of numbers, one for each client. */
function credentials(make: (client: string) => string): string[] {
  return Array.from({ length: CLIENTS }, (_, client) => make(String(client).padStart(3, '0')));
}

function named(make: (client: string) => string): Record<string, string> {
  return Object.fromEntries(credentials((client) => client).map((client) => [`client-${client}`, make(client)]));
}

const token = (client: string) => `token-of-client-${client}-of-48-characters-in-a-list`;
const password = (client: string) => `password-of-client-${client}`;
const basic = (client: string) => Buffer.from(`client-${client}:${password(client)}`).toString('base64');

const INTROSPECTION = {
  type: 'oauth2',
  introspectionUrl: 'https://login.example/introspect',
  clientId: 'gateway',
  clientSecret: 'a secret of the benchmarks',
};

const PROVIDERS: readonly [name: string, what: string, config: object, texts: readonly string[]][] = [
  ['off', 'nobody authenticates', {}, []],
  ['bearer', 'a token of a list', { auth: { type: 'bearer', tokens: named(token) } }, credentials(token)],
  ['apiKey', 'a key in a header of its own', { auth: { type: 'apiKey', keys: named(token) } }, credentials(token)],
  [
    'basic',
    'a password that was checked before',
    { auth: { type: 'basic', users: named(password) } },
    credentials(basic),
  ],
  ['introspection', 'an opaque token that was asked about before', { auth: INTROSPECTION }, credentials(token)],
  [
    'proxyHeader',
    'subject and scopes of a trusted proxy, seen before',
    { auth: { type: 'proxyHeader', subjectHeader: 'X-User', trustedProxies: '127.0.0.1' } },
    credentials((client) => [`client-${client}`, 'tools:list tools:call', ''].join(CREDENTIAL_SEPARATOR)),
  ],
];

/** Credentials that are remembered, or need no more than a look-up. */
function known(
  name: string,
  what: string,
  config: object,
  mint: () => Promise<readonly string[]> | readonly string[],
): Case {
  return {
    name: `token check ${name}`,
    what: `authenticate: ${what}, ${CLIENTS} clients in turn`,
    ...(name === 'off' ? {} : { goalNs: 1000 }),
    async setup() {
      const { subject, scheme } = authenticator(config);
      const minted = await mint();
      const texts = minted.length === 0 ? [''] : minted;
      // As on the ring: at a boundary of four bytes.
      const tokens = texts.map((text) =>
        Buffer.from(new ArrayBuffer((text.length + 3) & ~3)).fill(text, 0, text.length),
      );
      const words = tokens.map((bytes) => new Int32Array(bytes.buffer));
      const seconds = Math.floor(Date.now() / 1000);
      const check = (client: number): number => {
        const { length } = texts[client]!;
        return subject.check(scheme, tokens[client]!, 0, length, length > 0, seconds, words[client]!);
      };
      for (const [client, text] of texts.entries()) {
        if (check(client) === Outcome.pending) await subject.verify(scheme, text);
      }
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            if (check(i % texts.length) !== Outcome.known) throw new Error('the credential is not known');
            keep(subject.principal.expiresAt);
          }
        },
        notes: () => (texts[0] === '' ? '' : `${texts[0]!.length} bytes`),
      };
    },
  };
}

export const authenticateCases: readonly Case[] = [
  ...PROVIDERS.map(([name, what, config, texts]) => known(name, what, config, () => texts)),
  known('jwt', 'a JWT that was verified before', FULL, () => mintTokens(CLIENTS)),
  {
    name: 'token verification',
    what: 'authenticate: the same seen for the first time (HS256, asynchronous)',
    async setup() {
      const { subject, scheme } = authenticator(FULL);
      const texts = await mintTokens(CLIENTS);
      return {
        async runAsync(times) {
          for (let i = 0; i < times; i++) {
            if (i % CLIENTS === 0) subject.forget();
            const principal = await subject.verify(scheme, texts[i % CLIENTS]!);
            if ('error' in principal) throw new Error('the token is refused');
            keep(principal.expiresAt);
          }
        },
      };
    },
  },
];
