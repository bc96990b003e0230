/** Times and names of claims on which parsers or clocks could differ (RFC 7519 sections 2 and 4). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Principal } from '../../../workers/authenticate/principal.js';
import { AUDIENCE, authenticatorFor, claims, hs256, ISSUER, judge, jwtAuth, part, SECRET } from './tokens.js';

const TOLERANCE = 5;
const auth = jwtAuth({ secret: SECRET, algorithms: ['HS256'], clockToleranceSeconds: TOLERANCE });
const seconds = (): number => Math.floor(Date.now() / 1000);

/** A payload whose times are raw JSON; undefined = left out. */
function payloadOf(times: Record<string, string | undefined>): string {
  const members = [`"iss":"${ISSUER}"`, `"aud":"${AUDIENCE}"`, '"sub":"alice"'];
  for (const [name, text] of Object.entries(times)) if (text !== undefined) members.push(`"${name}":${text}`);
  return `{${members.join(',')}}`;
}

async function outcome(payload: string, reasons: string[] = []): Promise<Principal | string> {
  return judge(authenticatorFor(auth, undefined, undefined, reasons), hs256(SECRET, payload));
}

/** A time by RFC 7519: a JSON number of seconds, here within the range of dates. */
function timeIn(text: string): number | null {
  const value: unknown = JSON.parse(text);
  return typeof value === 'number' && Math.abs(value) <= 8.64e12 ? value : null;
}

const time = fc.oneof(
  // Far enough from the edges that the clock of the test does not matter.
  fc.integer({ min: -1_000_000, max: 1_000_000 }).map((offset) => String(seconds() + offset * 30 + 15)),
  fc.double({ min: 60, max: 1e6, noNaN: true }).map((offset) => String(seconds() + offset)),
  fc.constantFrom('1e400', '-1e400', '1e308', '9e12', '-9e12', '8.64e12', '-8.64e12', '9223372036854775807', '0', '-0'),
  fc.constantFrom('2147483647', '2147483648', '4294967296', '253402300799', '1e12', '-1', '-1.5'),
  fc.json({ maxDepth: 1 }),
  fc.constant(undefined),
);

describe('times of a token', () => {
  it('are numbers in the range of dates, and the token ends within what a verdict can say', async () => {
    await fc.assert(
      fc.asyncProperty(time, time, time, async (exp, nbf, iat) => {
        const now = seconds();
        const until = exp === undefined ? null : timeIn(exp);
        const from = nbf === undefined ? Number.NEGATIVE_INFINITY : timeIn(nbf);
        const issued = iat === undefined ? Number.NEGATIVE_INFINITY : timeIn(iat);
        const isGood =
          until !== null &&
          from !== null &&
          issued !== null &&
          until > now - TOLERANCE &&
          from <= now + TOLERANCE &&
          issued <= now + TOLERANCE;
        const found = await outcome(payloadOf({ exp, nbf, iat }));
        assert.equal(typeof found === 'string' ? found : 'good', isGood ? 'good' : 'GW_INVALID_TOKEN');
        if (typeof found === 'string') return;
        const { expiresAt } = found;
        assert.equal(expiresAt, expiresAt | 0, 'a word of a verdict holds it');
        assert.ok(expiresAt > now - 1 && expiresAt <= Math.max(until! + TOLERANCE, 0));
      }),
      { seed: 7, numRuns: 800 },
    );
  });

  const rows: readonly [name: string, times: Record<string, string | undefined>, sentence: RegExp][] = [
    ['exp that overflows', { exp: '1e400' }, /"exp" claim is not a time/],
    ['exp beyond all dates', { exp: '9e12' }, /"exp" claim is not a time/],
    ['exp that is text', { exp: '"9999999999"' }, /"exp" claim/],
    ['no exp', {}, /"exp" claim is missing/],
    ['nbf that overflows downwards', { exp: '9999999999', nbf: '-1e400' }, /"nbf" claim is not a time/],
    ['iat that overflows downwards', { exp: '9999999999', iat: '-1e400' }, /"iat" claim is not a time/],
    ['iat in the future', { exp: '9999999999', iat: '9999999990' }, /"iat" claim is in the future/],
  ];
  for (const [name, times, sentence] of rows) {
    it(`${name}: refused, and the log can say why`, async () => {
      const reasons: string[] = [];
      assert.equal(await outcome(payloadOf(times), reasons), 'GW_INVALID_TOKEN');
      assert.equal(reasons.length, 1);
      assert.match(reasons[0] ?? '', sentence);
    });
  }

  it('of clocks that differ by less than the tolerance are accepted', async () => {
    const now = seconds();
    const found = await outcome(payloadOf({ exp: String(now + 60), iat: String(now + 3), nbf: String(now + 3) }));
    assert.equal(typeof found, 'object');
  });

  it('are not logged when the signature is wrong, so that forged tokens cannot fill the log', async () => {
    const reasons: string[] = [];
    const forged = hs256('another secret, which is long enough too', payloadOf({ exp: '1e400' }));
    assert.equal(await judge(authenticatorFor(auth, undefined, undefined, reasons), forged), 'GW_INVALID_TOKEN');
    assert.deepEqual(reasons, []);
  });
});

describe('a name that stands twice', () => {
  const good = JSON.stringify(claims());
  const rows: readonly [string, string][] = [
    ['exp', good.replace('{', '{"exp":1,')],
    ['exp, with an escape', good.replace('{', '{"\\u0065xp":9999999999,')],
    ['sub', good.replace('{', '{"sub":"mallory",')],
    ['scope behind the other', good.replace(/\}$/, ',"scope":"admin"}')],
    ['a name that says nothing here', good.replace('{', '{"x":1,"x":1,')],
  ];
  for (const [name, payload] of rows) {
    it(`${name}: refused`, async () => {
      const reasons: string[] = [];
      assert.equal(await outcome(payload, reasons), 'GW_INVALID_TOKEN');
      assert.match(reasons[0] ?? '', /a name is repeated/);
    });
  }

  it('in the header: refused', async () => {
    const { createHmac } = await import('node:crypto');
    const signed = `${part('{"alg":"HS256","typ":"JWT","typ":"JWT"}')}.${part(claims())}`;
    const token = `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
    assert.equal(await judge(authenticatorFor(auth), token), 'GW_INVALID_TOKEN');
  });

  it('at different depths, or with white space around, is none', async () => {
    const payload = ` ${good.replace('{', '{ "nested" : { "exp" : 1, "sub" : [ { "sub" : 1 } ] } , ')} `;
    assert.equal(typeof (await outcome(payload)), 'object');
  });
});

/** Scopes and permissions, said once more: what stands under each of the names, in texts and lists of texts. */
function textsIn(payload: string, names: readonly string[]): string[] {
  const found = new Set<string>();
  for (const name of names) {
    for (const [key, value] of Object.entries(JSON.parse(payload) as object)) {
      if (key !== name) continue;
      const texts = typeof value === 'string' ? value.split(/ +/) : Array.isArray(value) ? value : [];
      for (const text of texts) if (typeof text === 'string' && (text !== '' || Array.isArray(value))) found.add(text);
    }
  }
  return [...found];
}

describe('subject, scopes and permissions of a token', () => {
  const NAMES = ['scope', 'scp', 'scopes', 'permissions', 'name', '__proto__', 'constructor', 'toString', 'sub'];
  const value = fc.oneof(
    fc.constantFrom('read write', ' read  write ', '', 'read', ['read', 'write'], ['read write', 7, null], [], {}, 7),
    fc.constantFrom(null, true, [['read']], { read: true }, ['', 'a']),
    fc.string(),
    fc.array(fc.oneof(fc.string(), fc.integer())),
  );
  const names = fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 });

  it('are read from the claims that the configuration names, and from nothing else', async () => {
    let good = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 5 }),
        fc.constantFrom('sub', 'name', '__proto__', 'constructor'),
        fc.option(fc.constantFrom('alice', ' ', '__proto__'), { freq: 2 }),
        names,
        names,
        async (members, subjectClaim, text, scopeClaims, permissionClaims) => {
          const more = text === null ? members : [...members, [subjectClaim, text] as const];
          const unique = [...new Map<string, unknown>([['exp', seconds() + 600], ...more])];
          const fixed = [`"iss":"${ISSUER}"`, `"aud":"${AUDIENCE}"`];
          const written = unique.map(([name, one]) => `${JSON.stringify(name)}:${JSON.stringify(one)}`);
          const payload = `{${[...fixed, ...written].join(',')}}`;
          const settings = jwtAuth({
            secret: SECRET,
            algorithms: ['HS256'],
            subjectClaim,
            scopeClaims,
            permissionClaims,
          });
          const found = await judge(authenticatorFor(settings), hs256(SECRET, payload));
          const subject = new Map(unique).get(subjectClaim);
          if (typeof subject !== 'string' || subject === '') {
            assert.equal(found, 'GW_INVALID_TOKEN');
            return;
          }
          assert.ok(typeof found === 'object');
          good += 1;
          assert.equal(found.subject, subject);
          assert.deepEqual([...found.scopes], textsIn(payload, scopeClaims));
          assert.deepEqual([...found.permissions], textsIn(payload, permissionClaims));
        },
      ),
      { numRuns: 500 },
    );
    assert.ok(good > 100, `only ${good} tokens with a subject were generated`);
  });
});
