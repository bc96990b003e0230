import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ASKABLE } from '../../../src/protocol/client-capabilities.js';
import { Exchange } from '../../../src/request/exchange/index.js';
import { type ConnectionProfile, SHARED_PROFILE } from '../../../src/upstream/core/types.js';
import { Attribution } from '../../../src/upstream/messages/attribution.js';

const LEASED: ConnectionProfile = { ...SHARED_PROFILE, exclusive: true };
const CAPABLE: ConnectionProfile = { ...SHARED_PROFILE, capabilities: ASKABLE };

function callOf(slot: number, subject: number): Exchange {
  const exchange = new Exchange(slot);
  exchange.verdict.subject[0] = subject;
  exchange.call.sentAt = slot;
  return exchange;
}

/** An endpoint whose calls begin and end as the test says. */
function endpointOf(profile: ConnectionProfile, hasCallStreams: boolean) {
  const calls = new Set<Exchange>();
  const attribution = new Attribution(
    {
      get callCount() {
        return calls.size;
      },
      isInFlight: (exchange) => calls.has(exchange),
      callsInFlight: () => [...calls],
    },
    profile,
    hasCallStreams,
  );
  return {
    attribution,
    /** Named for what they return: the call of a log message, and that of a request. */
    found: (): [logging: Exchange | null, requesting: Exchange | null] => [
      attribution.loggingCall(),
      attribution.requestingCall(),
    ],
    begin(exchange: Exchange) {
      calls.add(exchange);
      if (!hasCallStreams) attribution.written(exchange);
    },
    end(exchange: Exchange) {
      calls.delete(exchange);
      attribution.ended(exchange);
    },
    reset() {
      calls.clear();
      attribution.reset();
    },
  };
}

test('on a shared channel it belongs to the only call, if it cannot be about a call of another client', () => {
  const { begin, end, found } = endpointOf(SHARED_PROFILE, false);
  const [first, second, other] = [callOf(1, 7), callOf(2, 7), callOf(3, 8)];
  assert.deepEqual(found(), [null, null]);
  begin(first);
  assert.deepEqual(found(), [first, first]);
  begin(second);
  assert.deepEqual(found(), [null, null]);
  end(second);
  assert.deepEqual(found(), [first, first], 'the call that ended is of the same client');
  end(first);
  begin(other);
  assert.deepEqual(found(), [null, null], 'it may still be about the other client');
});

test('on a shared channel the end of a call of another client counts, not only its beginning', () => {
  const { begin, end, found } = endpointOf(SHARED_PROFILE, false);
  const [mine, other] = [callOf(1, 7), callOf(2, 8)];
  begin(mine);
  begin(other);
  end(other);
  assert.deepEqual(found(), [null, null]);
});

test('on a channel of one client log messages belong to the call that was written last, requests to the only one', () => {
  const { begin, end, found } = endpointOf(LEASED, false);
  const [first, second, third] = [callOf(1, 7), callOf(2, 7), callOf(3, 7)];
  begin(first);
  begin(second);
  begin(third);
  assert.deepEqual(found(), [third, null]);
  end(third);
  assert.deepEqual(found(), [second, null]);
  end(second);
  assert.deepEqual(found(), [first, first]);
});

test('after a cancelled call no request is attributed until the server must have stopped, or the channel has ended', () => {
  const { attribution, begin, end, reset, found } = endpointOf(LEASED, false);
  const [first, second] = [callOf(1, 7), callOf(2, 7)];
  begin(first);
  attribution.cancelled();
  end(first);
  begin(second);
  assert.deepEqual(found(), [second, null]);
  assert.equal(attribution.isSettled, false);
  reset();
  begin(second);
  assert.deepEqual(found(), [second, second]);
  assert.equal(attribution.isSettled, true);
});

test('where calls have streams, only requests of shared sessions are attributed with care', () => {
  const shared = endpointOf(CAPABLE, true);
  const [first, other] = [callOf(1, 7), callOf(2, 8)];
  shared.begin(first);
  assert.deepEqual(shared.found(), [null, first]);
  shared.end(first);
  shared.begin(other);
  assert.deepEqual(shared.found(), [null, null]);

  const own = endpointOf(LEASED, true);
  own.begin(first);
  own.begin(other);
  assert.deepEqual(own.found(), [other, null]);
  own.attribution.cancelled();
  own.end(first);
  assert.deepEqual(own.found(), [other, other], 'a request about the cancelled call arrives on its stream');
});
