/** Tokens in the name of callers, by the token of the caller (RFC 8693). */
import { LRUCache } from 'lru-cache';
import type { UpstreamAuthSnapshot } from '../../config/snapshot/index.js';
import type { Count, Milliseconds } from '../../units.js';
import { RenewedToken } from './renewed-token.js';
import { requestToken } from './token-endpoint.js';
import type { TokenLog } from './token-log.js';

type TokenExchange = Extract<UpstreamAuthSnapshot, { type: 'tokenExchange' }>;

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** See the file comment. One for each configuration of a token exchange. */
export class CallerTokens {
  readonly #exchange: TokenExchange;
  readonly #log: TokenLog;
  readonly #tokens: LRUCache<string, RenewedToken>;

  constructor(exchange: TokenExchange, log: TokenLog) {
    this.#exchange = exchange;
    this.#log = log;
    this.#tokens = new LRUCache({ max: exchange.maxTokens });
  }

  /** Those that are kept. */
  get size(): Count {
    return this.#tokens.size;
  }

  /** The one for a token of a caller, not empty. */
  of(subjectToken: string): RenewedToken {
    let token = this.#tokens.get(subjectToken);
    if (token === undefined) {
      token = new RenewedToken({ request: () => this.#request(subjectToken) }, this.#log);
      this.#tokens.set(subjectToken, token);
    }
    return token;
  }

  async #request(subjectToken: string) {
    const { endpoint, subjectTokenType, requestedTokenType } = this.#exchange;
    const form = { grant_type: GRANT, subject_token: subjectToken, subject_token_type: subjectTokenType };
    const issued = await requestToken(
      endpoint,
      requestedTokenType === '' ? form : { ...form, requested_token_type: requestedTokenType },
    );
    // It ends with the token that it was exchanged for, where that says when.
    const leftMs = Math.max(1, timeLeft(subjectToken));
    return { ...issued, lifetimeMs: issued.lifetimeMs === 0 ? finite(leftMs) : Math.min(issued.lifetimeMs, leftMs) };
  }
}

function finite(ms: Milliseconds): Milliseconds {
  return ms === Number.POSITIVE_INFINITY ? 0 : ms;
}

/** Time until `exp` of a token that is a JWT; `Infinity` = it has none. The gateway has verified it before. */
function timeLeft(token: string): Milliseconds {
  const parts = token.split('.');
  if (parts.length !== 3) return Number.POSITIVE_INFINITY;
  try {
    const claims = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8')) as { exp?: unknown } | null;
    return typeof claims?.exp === 'number' ? claims.exp * 1_000 - Date.now() : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
