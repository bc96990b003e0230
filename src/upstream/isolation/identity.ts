import { Era } from '../../protocol/revisions.js';
import type { Exchange } from '../../request/exchange/index.js';
import { callerToken } from '../core/credentials.js';
import type { ClientIdentity } from '../core/types.js';

/** The client of a call that has its verdict. */
export function clientIdentity(exchange: Exchange): ClientIdentity {
  const { session, capabilities } = exchange.client;
  const { verdict } = exchange;
  const mask = exchange.client.era === Era.legacy ? (session?.capabilityMask ?? 0) : Math.max(0, capabilities);
  return {
    sessionId: session?.id ?? '',
    subject: verdict.subject.slice(),
    capabilities: mask,
    token: callerToken(exchange),
  };
}
