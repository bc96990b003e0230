/** Tokens of streams are checked repeatedly, in bounded numbers, and no stream ends because policy is busy. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuthProvider } from '../../src/config/snapshot/auth.js';
import { type ErrorCode, errorNumber } from '../../src/errors.js';
import { Caller } from '../../src/request/exchange/caller.js';
import { Exchange } from '../../src/request/exchange/index.js';
import { type RightHolder, Rights } from '../../src/session/rights.js';
import { Verdict } from '../../src/shared/ring/records.js';
import { VerdictRecord } from '../../src/shared/ring/verdict-record.js';
import { eventually, type TestScope } from '../support/process.js';

const NEVER = 0x7fffffff;
type Answer = (verdict: VerdictRecord) => void;

function verdictOf(code: ErrorCode | null, until = NEVER): VerdictRecord {
  const verdict = new VerdictRecord();
  verdict.kind = code === null ? Verdict.local : Verdict.deny;
  verdict.error = code === null ? -1 : errorNumber(code);
  verdict.rememberUntil = until;
  verdict.snapshotVersion = 1;
  return verdict;
}

function verdictOfSubject(word: number): VerdictRecord {
  const verdict = verdictOf(null);
  verdict.subject.fill(word);
  return verdict;
}

/** Rights; the test answers as policy. */
function fixture(scope: TestScope, providers: readonly AuthProvider[] = []) {
  const asked: { token: string; uri: string; answer: Answer }[] = [];
  const ended: [string, ErrorCode][] = [];
  const names = new Map<RightHolder, string>();
  const state = { snapshot: 1, revocation: 0, free: Number.POSITIVE_INFINITY, most: 0 };
  const rights = new Rights({
    config: { current: { auth: { providers }, views: [] } },
    epochs: { snapshot: () => state.snapshot, revocation: () => state.revocation },
    policy: {
      ask: ({ caller: { token }, name: uri }, answer) => {
        if (asked.length >= state.free) return false;
        asked.push({ token, uri, answer });
        state.most = Math.max(state.most, asked.length);
        return true;
      },
    },
    subscriptions: { subscribedUris: (holder) => (names.get(holder) === 'follower' ? ['test://a', 'test://b'] : []) },
    listener: {
      rightEnded: (holder, code) => ended.push([names.get(holder)!, code]),
      resourceForbidden: (holder, uri, code) => ended.push([`${names.get(holder)} ${uri}`, code]),
    },
    log: { fault: (error) => assert.fail(String(error)) },
  });
  // The timer of rights keeps no process alive.
  const alive = setInterval(() => {}, 1000);
  scope.after(() => {
    rights.close();
    clearInterval(alive);
  });
  const hold = (name: string, until = NEVER): RightHolder => {
    const holder = new Exchange(-1);
    names.set(holder, name);
    rights.hold(holder, Caller.ofToken(`token of ${name}`), verdictOf(null, until));
    return holder;
  };
  return { rights, asked, ended, state, hold };
}

const inSeconds = (count: number): number => Math.floor(Date.now() / 1000) + count;

describe('rights', () => {
  it('end with their tokens, each in its second', async (scope) => {
    const { ended, hold, rights, asked } = fixture(scope);
    const released = hold('released', inSeconds(1));
    hold('first', inSeconds(1));
    hold('second', inSeconds(2));
    hold('late', inSeconds(1000));
    rights.release(released);
    await eventually('two', () => ended.length === 2);
    assert.deepEqual(ended, [
      ['first', 'GW_TOKEN_EXPIRED'],
      ['second', 'GW_TOKEN_EXPIRED'],
    ]);
    assert.equal(rights.size, 1);
    assert.deepEqual(asked, [], 'policy was not asked');
  });

  it('go on where an answer about an opaque token is renewed, and end where it is not', async (scope) => {
    const { asked, ended, hold } = fixture(scope, [{ type: 'oauth2' } as AuthProvider]);
    for (const name of ['active', 'inactive', 'another']) hold(name, inSeconds(-1));
    await eventually('all are asked about, once', () => asked.length === 3);
    const verdicts: Record<string, VerdictRecord> = {
      active: verdictOf(null, inSeconds(1000)),
      inactive: verdictOf('GW_INVALID_TOKEN'),
      another: verdictOfSubject(7),
    };
    for (const { token, answer } of asked.splice(0)) answer(verdicts[token.replace('token of ', '')]!);
    assert.deepEqual(ended.map(([name, code]) => `${name} ${code}`).sort(), [
      'another GW_TOKEN_EXPIRED',
      'inactive GW_TOKEN_EXPIRED',
    ]);
  });

  it('are checked again after a reload and a revocation, a bounded number at once', async (scope) => {
    const { asked, state, hold, ended } = fixture(scope);
    for (let index = 0; index < 1000; index += 1) hold(`s${index}`);
    for (const change of ['snapshot', 'revocation'] as const) {
      state[change] += 1;
      let answered = 0;
      await eventually(`all are asked about after a ${change}`, () => {
        for (const { answer } of asked.splice(0)) {
          answered += 1;
          answer(verdictOf(null));
        }
        return answered === 1000;
      });
    }
    assert.ok(state.most <= 128, `${state.most} at once`);
    assert.deepEqual(ended, []);
  });

  it('end by the verdict, continue when the gateway is busy, and use the expiry of the verdict', async (scope) => {
    const { asked, state, hold, ended } = fixture(scope);
    for (const name of ['good', 'bad', 'busy', 'another', 'short']) hold(name);
    state.revocation += 1;
    const answers: Record<string, () => VerdictRecord> = {
      good: () => verdictOf(null),
      bad: () => verdictOf('GW_TOKEN_REVOKED'),
      busy: () => verdictOf(ended.length < 3 ? 'GW_OVERLOADED' : 'GW_INVALID_TOKEN'),
      another: () => verdictOfSubject(9),
      short: () => verdictOf(null, inSeconds(0)),
    };
    await eventually('all but the good one end', () => {
      for (const { token, answer } of asked.splice(0)) answer(answers[token.slice('token of '.length)]!());
      return ended.length === 4;
    });
    assert.deepEqual(Object.fromEntries(ended), {
      bad: 'GW_TOKEN_REVOKED',
      another: 'GW_INVALID_TOKEN',
      short: 'GW_TOKEN_EXPIRED',
      busy: 'GW_INVALID_TOKEN',
    });
  });

  it('wait for a free exchange, and skip no check for it', async (scope) => {
    const { asked, state, hold } = fixture(scope);
    const names = Array.from({ length: 20 }, (_, index) => `s${index}`);
    for (const name of names) hold(name);
    state.free = 3;
    state.snapshot += 1;
    const seen: string[] = [];
    await eventually('all were asked about', () => {
      for (const { token, answer } of asked.splice(0)) {
        seen.push(token.slice('token of '.length));
        answer(verdictOf(null));
      }
      return seen.length === names.length;
    });
    assert.deepEqual(seen, names);
  });

  it('of subscribed resources are checked with the token of the subscriber', async (scope) => {
    const { asked, state, hold, ended, rights } = fixture(scope);
    hold('follower');
    state.snapshot += 1;
    await eventually('three questions', () => {
      for (const { uri, token, answer } of asked.splice(0)) {
        assert.equal(token, 'token of follower');
        answer(verdictOf(uri === 'test://a' ? 'GW_UPSTREAM_DOWN' : uri === '' ? null : 'GW_INSUFFICIENT_SCOPE'));
      }
      return ended.length === 1;
    });
    assert.deepEqual(ended, [['follower test://b', 'GW_INSUFFICIENT_SCOPE']]);
    assert.equal(rights.size, 1);
  });

  it('that began under an older snapshot are checked at once', async (scope) => {
    const { asked, state, hold, ended } = fixture(scope);
    state.snapshot = 2;
    hold('late');
    await eventually('it is asked about', () => asked.length === 1);
    asked[0]!.answer(verdictOf('GW_INVALID_TOKEN'));
    assert.deepEqual(ended, [['late', 'GW_INVALID_TOKEN']]);
  });
});
