/** What *send* works with. */
import type { ErrorCode } from '../../errors.js';
import type { Counters } from '../../shared/counters.js';
import type { VerdictRecord } from '../../shared/ring/verdict-record.js';
import type { Count, Milliseconds } from '../../units.js';
import type { Concurrency, LimitedPlace } from '../exchange/concurrency.js';
import type { CallTarget, Exchange } from '../exchange/index.js';
import type { ParamHeader } from './param-headers.js';

/** A server that calls wait for while it is connected. */
export interface StartingServer {
  /** No endpoint is connected, and one is being connected that is not known to fail. */
  readonly isStarting: boolean;
  /** `maxQueue`: most calls that wait. `connectTimeoutMs`: for so long at most. */
  readonly config: { readonly maxQueue: Count; readonly connectTimeoutMs: Milliseconds };
}

/** What send needs of one server of the upstream pool. */
export interface SendServer extends StartingServer {
  readonly name: string;
  readonly endpointCount: number;
  /** As above, with its limit on calls under way at once. */
  readonly config: StartingServer['config'] & LimitedPlace;
  /** Milliseconds a call may take; 0 = no limit. */
  readonly requestTimeoutMs: number;
  /** Whether `choose` looks at `exchange.client.capabilities`. */
  readonly needsCapabilities: boolean;
  /** Whether a user may have to log in there, which clients that can are told by URL elicitation. */
  readonly wantsLogin: boolean;
  /** A ready endpoint that `exchange.call.tried` does not name, or null. */
  choose(exchange: Exchange): CallTarget | null;
  /** An endpoint that is being restarted, at which the call may wait; null = it has to fail. */
  chooseAwaitable(exchange: Exchange): CallTarget | null;
  /** Whether other clients may get the answers of an endpoint that `choose` has returned. */
  sharesAnswers(endpoint: CallTarget): boolean;
  /** Whether tools of a server of 2025-11-25 can run as tasks. */
  readonly runsTasks: boolean;
  /** Whether a modern server may answer tool calls with tasks, if the client takes them. */
  readonly answersWithTasks: boolean;
  /** Why `choose` returned null; sets `exchange.call.detail` where there is more to say. */
  unavailable(exchange: Exchange): ErrorCode;
  /** Time until there may be one again, ms; 0 = not known. */
  retryInMs(): number;
}

/** What send needs of one route of the snapshot. */
export interface SendRoute {
  readonly requestTimeoutMs: number;
  readonly idempotent: boolean;
}

/** What send needs of the catalog in force. */
export interface SendCatalog {
  readonly version: number;
  /** JSON string contents of each entry's upstream name. */
  upstreamName(entry: number): Uint8Array;
  /** `Mcp-Name` value of each entry's upstream name. */
  nameHeader(entry: number): string;
  /** Whether the URI `bytes[start, end)` is another spelling of that of its entry, and is not listed itself. */
  isSpelledOtherwise(entry: number, bytes: Uint8Array, start: number, end: number): boolean;
  /** The arguments of an entry that are mirrored in headers. */
  headerParams(entry: number): readonly ParamHeader[];
  /** Bits of `EntryFlag` by entry. */
  readonly table: { readonly flags: Uint8Array };
}

/** What send works with. */
export interface SendParts {
  /** By server index. */
  readonly upstreams: { readonly servers: readonly SendServer[] };
  readonly routes: {
    /** The route of a verdict, by the rules it was made under; null = none, or they are forgotten. */
    routeOf(verdict: VerdictRecord): SendRoute | null;
    /** The servers that may get the call of a verdict, in fail-over order. */
    serversOf(verdict: VerdictRecord): readonly number[];
  };
  readonly catalogs: {
    /** The catalog of that version while it is still remembered, else null. */
    find(version: number): SendCatalog | null;
  };
  readonly counters: Pick<Counters, 'add'>;
  readonly concurrency: Pick<Concurrency, 'beginCall'>;
  readonly tokens: {
    /** Gives back the rate-limit tokens of a call that is not sent. */
    giveBack(exchange: Exchange): void;
  };
  readonly awaitedTasks: {
    /** The call as it is sent to a tool that runs only as a task. */
    asTask(exchange: Exchange, target: CallTarget, message: Buffer): Buffer;
  };
  readonly write: {
    /** Nothing more can be tried. */
    fail(exchange: Exchange, code: ErrorCode): void;
    /** The answer is for this client alone, although the exchange leads a cache key. */
    leadNoLonger(exchange: Exchange): void;
  };
}
