import { Counters, counterMemory } from '../../../src/shared/counters.js';
import { Scheme } from '../../../src/shared/scheme.js';
import { Authenticator, Outcome } from '../../../workers/authenticate/index.js';
import { Inquiries } from '../../../workers/authenticate/inquiries.js';
import { KeySources } from '../../../workers/authenticate/keys.js';
import { Revoked } from '../../../workers/authenticate/revoked.js';
import { mintTokens } from '../../load/gateway-config.js';
import { fullSnapshot } from '../fixture.js';
import { type Case, keep } from '../runner.js';

const CLIENTS = 64;

function authenticator(): Authenticator {
  const counters = new Counters(counterMemory(1, 1), 0);
  const keys = new KeySources({ requestKeys() {} }, []);
  const inquiries = new Inquiries({ inquire() {} });
  const refusals = { tokenRefused() {} };
  return new Authenticator(fullSnapshot().auth, { counters, keys, inquiries, revoked: new Revoked([]), refusals });
}

export const authenticateCases: readonly Case[] = [
  {
    name: 'token check',
    what: `authenticate: a JWT that was verified before, ${CLIENTS} clients in turn`,
    goalNs: 1000,
    async setup() {
      const subject = authenticator();
      const texts = await mintTokens(CLIENTS);
      // As on the ring: at a boundary of four bytes.
      const tokens = texts.map((text) =>
        Buffer.from(new ArrayBuffer((text.length + 3) & ~3)).fill(text, 0, text.length),
      );
      const words = tokens.map((token) => new Int32Array(token.buffer));
      const { length } = texts[0]!;
      const seconds = Math.floor(Date.now() / 1000);
      for (const text of texts) {
        if (typeof (await subject.verify(Scheme.bearer, text)) === 'number') throw new Error('the token is refused');
      }
      return {
        run(times) {
          for (let i = 0; i < times; i++) {
            const token = tokens[i % CLIENTS]!;
            keep(
              subject.check(Scheme.bearer, token, 0, texts[i % CLIENTS]!.length, true, seconds, words[i % CLIENTS]!),
            );
            if (subject.principal.expiresAt <= seconds) throw new Error('not the principal of the token');
          }
        },
        notes: () => `${length} bytes`,
      };
    },
  },
  {
    name: 'token verification',
    what: 'authenticate: the same seen for the first time (HS256, asynchronous)',
    async setup() {
      const subject = authenticator();
      const texts = await mintTokens(CLIENTS);
      return {
        async runAsync(times) {
          for (let i = 0; i < times; i++) {
            if (i % CLIENTS === 0) subject.forget();
            const principal = await subject.verify(Scheme.bearer, texts[i % CLIENTS]!);
            keep(typeof principal === 'number' ? Outcome.refused : Outcome.known);
          }
        },
      };
    },
  },
];
