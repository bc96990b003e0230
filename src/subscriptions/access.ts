/**
 * What the policy says about clients that wait for no answer of their own: where a resource lives that one wants to follow, and,
 * when something changes, whether it may still hear of it.
 */

import type { Current } from '../config/current.js';
import type { Snapshot } from '../config/snapshot.js';
import { type ErrorCode, errorNumber } from '../errors.js';
import type { Policy, Question } from '../request/dispatch/questions.js';
import type { FaultLog } from '../shared/fault-log.js';
import { Verdict } from '../shared/records.js';
import type { VerdictRecord } from '../shared/verdict-record.js';

/** What {@link Access} works with. */
export interface AccessParts {
  readonly config: Current<Pick<Snapshot, 'auth' | 'routes'>>;
  readonly policy: Policy;
  readonly log: FaultLog;
}

/** No server: denied, unknown, or nothing could be asked. */
export const NO_SERVER = -1;

/** Whose access is asked for. */
export interface Requester {
  /** Bearer token; empty = none. */
  readonly token: string;
  /** By which anonymous clients are counted. */
  readonly address: string;
  /**
   * What it hears is kept for a client that is away, and given to the token with which it comes back: that this one is not
   * good any more says nothing.
   */
  readonly isDisconnected?: boolean;
}

const TOKEN_CODES: readonly ErrorCode[] = [
  'GW_UNAUTHENTICATED',
  'GW_INVALID_TOKEN',
  'GW_TOKEN_EXPIRED',
  'GW_TOKEN_REVOKED',
];
const TOKEN_ERRORS: ReadonlySet<number> = new Set(TOKEN_CODES.map(errorNumber));

/** See the file comment. */
export class Access {
  readonly #parts: AccessParts;

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /**
   * The index of the server whose resource it is, or {@link NO_SERVER}; why is not for the client. Counts like
   * `resources/subscribe`.
   *
   * @param uri what policy compares of it (src/protocol/uri.ts)
   */
  serverOf({ token, address }: Requester, uri: string): Promise<number> {
    const question: Question = { token, address, about: 'resource', name: uri, isMetered: true };
    return new Promise((resolve) => {
      const isAsked = this.#parts.policy.ask(question, (verdict) => {
        resolve(isPermitted(verdict) ? verdict.server : NO_SERVER);
      });
      if (!isAsked) resolve(NO_SERVER);
    });
  }

  /** Calls `then` if the client may hear of a change of a resource. @param uri as in {@link serverOf} */
  whenPermitted(asker: Requester, uri: string, then: () => void): void {
    this.#when(asker, 'resource', uri, then);
  }

  /** Calls `then` if the client may hear of a task that the tool with this address (`server:tool`) made. */
  whenTaskPermitted(asker: Requester, address: string, then: () => void): void {
    this.#when(asker, 'task', address, then);
  }

  #when(
    { token, address, isDisconnected: isAway = false }: Requester,
    about: Question['about'],
    name: string,
    then: () => void,
  ): void {
    const { config, log, policy } = this.#parts;
    const { auth, routes } = config.current;
    // Without tokens and scopes everybody may hear of everything.
    if (auth.type === 'none' && routes.every(({ requiredScopes }) => requiredScopes.length === 0)) {
      then();
      return;
    }
    policy.ask({ token, address, about, name, isMetered: false }, (verdict) => {
      if (!isPermitted(verdict) && !(isAway && TOKEN_ERRORS.has(verdict.error))) return;
      try {
        then();
      } catch (error) {
        log.fault(error);
      }
    });
  }
}

function isPermitted(verdict: VerdictRecord): boolean {
  return verdict.kind === Verdict.local;
}

/** The error that says why an upstream does not let a resource be followed. */
export function refusalOf(error: { readonly kind: string; readonly number: number }): ErrorCode {
  if (error.kind === 'timeout') return 'GW_UPSTREAM_TIMEOUT';
  if (error.kind === 'refused') return 'GW_UPSTREAM_REFUSED';
  if (error.kind === 'unreachable') return 'GW_UPSTREAM_UNREACHABLE';
  if (error.kind !== 'rpc') return 'GW_UPSTREAM_DOWN';
  // It has no subscriptions at all, or not to this resource (-32002 before 2026-07-28).
  if (error.number === -32601) return 'GW_METHOD_NOT_FOUND';
  return error.number === -32602 || error.number === -32002 ? 'GW_UNKNOWN_RESOURCE' : 'GW_UPSTREAM_PROTOCOL';
}
