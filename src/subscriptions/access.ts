/**
 * Policy checks outside of requests: which server has a resource that a client subscribes to, and whether a client may
 * receive a notification.
 */

import type { Current } from '../config/snapshot/current.js';
import { authAt } from '../config/snapshot/endpoint-auth.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { type ErrorCode, errorNumber } from '../errors.js';
import type { Policy, Question } from '../request/dispatch/questions.js';
import type { Caller } from '../request/exchange/caller.js';
import type { FaultLog } from '../shared/fault-log.js';
import { Verdict } from '../shared/ring/records.js';
import type { VerdictRecord } from '../shared/ring/verdict-record.js';

/** What {@link Access} works with. */
export interface AccessParts {
  readonly config: Current<Pick<Snapshot, 'auth' | 'routes' | 'views'>>;
  readonly policy: Policy;
  readonly log: FaultLog;
}

/** The resource is denied or unknown, or policy is overloaded. */
export const NO_SERVER = -1;

/** A client whose access is checked. */
export interface Requester {
  readonly caller: Caller;
  /** The key of rate limits for anonymous clients. */
  readonly address: string;
  /**
   * Notifications are kept until the client resumes its stream, with a token that is checked then. So an invalid token does
   * not deny them now.
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

/** See the file comment. One per front. */
export class Access {
  readonly #parts: AccessParts;

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  /**
   * The index of the server that has a resource, or {@link NO_SERVER}. Counts against rate limits like
   * `resources/subscribe`.
   *
   * @param uri in the form that policy compares (`judgedUri` in src/protocol/uri.ts)
   */
  serverOf({ caller, address }: Requester, uri: string): Promise<number> {
    const question: Question = { caller, address, about: 'resource', name: uri, isMetered: true };
    return new Promise((resolve) => {
      const isAsked = this.#parts.policy.ask(question, (verdict) => {
        resolve(isPermitted(verdict) ? verdict.server : NO_SERVER);
      });
      if (!isAsked) resolve(NO_SERVER);
    });
  }

  /** Calls `then` if the client may receive updates of a resource. @param uri as in {@link serverOf} */
  whenPermitted(asker: Requester, uri: string, then: () => void): void {
    this.#when(asker, 'resource', uri, then);
  }

  /** Calls `then` if the client may receive notifications about tasks of the tool with this address (`server:tool`). */
  whenTaskPermitted(asker: Requester, address: string, then: () => void): void {
    this.#when(asker, 'task', address, then);
  }

  #when(
    { caller, address, isDisconnected: isAway = false }: Requester,
    about: Question['about'],
    name: string,
    then: () => void,
  ): void {
    const { config, log, policy } = this.#parts;
    const { routes } = config.current;
    const { providers } = authAt(config.current, caller.view);
    // Without tokens and scopes, policy permits everything.
    if (providers.length === 0 && routes.every(({ requiredScopes }) => requiredScopes.length === 0)) {
      then();
      return;
    }
    policy.ask({ caller, address, about, name, isMetered: false }, (verdict) => {
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

/** The error for a subscription that an upstream refused. */
export function refusalOf(error: { readonly kind: string; readonly number: number }): ErrorCode {
  if (error.kind === 'timeout') return 'GW_UPSTREAM_TIMEOUT';
  if (error.kind === 'refused') return 'GW_UPSTREAM_REFUSED';
  if (error.kind === 'unreachable') return 'GW_UPSTREAM_UNREACHABLE';
  if (error.kind !== 'rpc') return 'GW_UPSTREAM_DOWN';
  // Method not found: no subscriptions. Invalid params, and -32002 before 2026-07-28: no such resource.
  if (error.number === -32601) return 'GW_METHOD_NOT_FOUND';
  return error.number === -32602 || error.number === -32002 ? 'GW_UNKNOWN_RESOURCE' : 'GW_UPSTREAM_PROTOCOL';
}
