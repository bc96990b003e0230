import { Era } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError, resultOf } from '../core/control.js';
import type { BaseEndpoint } from '../core/endpoint.js';
import { mayPass } from '../core/http/answer.js';
import { isEmptyFilter } from '../core/listen-filter.js';
import type { ListenFilter } from '../core/types.js';
import { type Watched, watchKey } from '../core/watched.js';

/** Changes of the filter of a modern upstream are collected for this time. */
const COLLECT_MS: Milliseconds = 20;
/** Longest wait for the response to a subscription. */
const ANSWER_MS: Milliseconds = 10_000;
const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** What is to be followed, and what the outcome is reported to. */
export interface FollowerOwner {
  requested(): Iterable<Watched>;
  isRequested(watched: Watched): boolean;
  /** An attempt has ended; `error` null = it is followed now. */
  settled(watched: Watched, error: ControlError | null): void;
}

/** Created once: a client may name a thousand resources in one message, and making the stack of an error is expensive. */
const NOT_OFFERED = new ControlError('rpc', 'the upstream does not announce changes of this', -32_601);

/**
 * Subscribes at one endpoint to what is requested: `resources/subscribe` and `resources/unsubscribe` at a legacy server, one
 * `subscriptions/listen` for everything at a modern one. One for each endpoint, owned by {@link Watches}.
 */
export class Follower {
  readonly #endpoints: readonly BaseEndpoint[];
  readonly #index: number;
  readonly #lists: boolean;
  readonly #owner: FollowerOwner;
  readonly #backOff = new BackOff(250);
  /** What the endpoint has confirmed, by key. */
  readonly #followed = new Map<string, Watched>();
  /** Attempts that have not ended, by key. */
  readonly #pending = new Map<string, Watched>();
  /** Number of handshakes: outcomes of requests before the last one are void. */
  #epoch = 0;
  #timer: NodeJS.Timeout | undefined;
  #isScheduled = false;
  #isListening = false;
  /** A listen is open. */
  #isOpen = false;
  #closed = false;

  /**
   * @param endpoints another endpoint may take the place of one
   * @param index of the endpoint
   * @param lists whether changes of its lists are followed as well
   */
  constructor(endpoints: readonly BaseEndpoint[], index: number, lists: boolean, owner: FollowerOwner) {
    this.#endpoints = endpoints;
    this.#index = index;
    this.#lists = lists;
    this.#owner = owner;
  }

  get endpoint(): BaseEndpoint {
    const endpoint = this.#endpoints[this.#index];
    if (endpoint === undefined) throw new RangeError(`there is no endpoint ${this.#index}`);
    return endpoint;
  }

  follows(watched: Watched): boolean {
    return this.endpoint.state === 'ready' && this.#followed.has(watchKey(watched.kind, watched.id));
  }

  /** Whether an attempt to follow it has not ended, or has not begun because the endpoint is being started. */
  isPending(watched: Watched): boolean {
    const { state, handshake } = this.endpoint;
    if (state === 'connecting' && handshake === null) return true;
    return state === 'ready' && this.#pending.has(watchKey(watched.kind, watched.id));
  }

  /** It is requested, or is not requested any more. */
  changed(watched: Watched): void {
    if (this.#closed || this.endpoint.state !== 'ready') return;
    const key = watchKey(watched.kind, watched.id);
    const isRequested = this.#owner.isRequested(watched);
    if (isRequested && !announces(this.endpoint, watched)) {
      this.#owner.settled(watched, NOT_OFFERED);
    } else if (this.endpoint.era === Era.modern) {
      if (!isRequested) this.#pending.delete(key);
      if (isRequested === this.#followed.has(key)) return;
      if (isRequested) this.#pending.set(key, watched);
      this.#schedule(COLLECT_MS);
    } else if (!this.#pending.has(key) && isRequested !== this.#followed.has(key)) {
      void this.#subscribe(key, watched, isRequested);
    }
  }

  /** The endpoint has made a handshake: earlier subscriptions have ended. */
  initialized(): void {
    this.#epoch += 1;
    this.#followed.clear();
    this.#pending.clear();
    this.#backOff.reset();
    this.#isOpen = false;
    if (this.endpoint.era === Era.modern) this.#schedule(0);
    for (const watched of [...this.#owner.requested()]) this.changed(watched);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #subscribe(key: string, watched: Watched, isRequested: boolean): Promise<void> {
    const epoch = this.#epoch;
    this.#pending.set(key, watched);
    // From here on an earlier subscription may end at any moment.
    this.#followed.delete(key);
    let error: ControlError | null = null;
    try {
      const method = isRequested ? 'resources/subscribe' : 'resources/unsubscribe';
      resultOf(await this.endpoint.request(method, { uri: watched.id }, { timeoutMs: ANSWER_MS }));
    } catch (reason) {
      error = asControlError(reason);
    }
    if (this.#closed || epoch !== this.#epoch) return;
    this.#pending.delete(key);
    // An error to `unsubscribe` counts as its end: the updates have no receiver.
    if (isRequested && error === null) this.#followed.set(key, watched);
    if (isRequested) this.#owner.settled(watched, error);
    if (error === null) this.#backOff.reset();
    // The request may have changed in between. After an error the owner decides; what it still follows is subscribed to later.
    if (error === null || !isRequested) this.changed(watched);
    else if (this.#owner.isRequested(watched) && mayPassLater(error)) this.#schedule(this.#backOff.next());
  }

  #schedule(delayMs: Milliseconds): void {
    if (this.#isScheduled || this.#closed) return;
    this.#isScheduled = true;
    this.#timer = setTimeout(() => {
      this.#isScheduled = false;
      if (this.endpoint.era === Era.modern) void this.#listen();
      else for (const watched of [...this.#owner.requested()]) this.changed(watched);
    }, delayMs);
  }

  async #listen(): Promise<void> {
    // The one in flight schedules another when it has ended.
    if (this.#isListening || this.endpoint.state !== 'ready' || this.endpoint.era !== Era.modern) return;
    const epoch = this.#epoch;
    const included: Watched[] = [];
    for (const watched of this.#owner.requested()) if (announces(this.endpoint, watched)) included.push(watched);
    const filter = this.#filter(included);
    if (isEmptyFilter(filter) && !this.#isOpen) return;
    this.#isListening = true;
    // What this listen leaves out may end at any moment: later requests for it wait for the next listen.
    for (const [key, watched] of this.#followed) if (!this.#owner.isRequested(watched)) this.#followed.delete(key);
    let acknowledged: ListenFilter | null = null;
    let error = NOT_OFFERED;
    try {
      acknowledged = await this.endpoint.listen(filter);
    } catch (reason) {
      error = asControlError(reason);
    }
    this.#isListening = false;
    if (this.#closed) return;
    if (epoch !== this.#epoch) {
      this.#schedule(0);
      return;
    }
    if (acknowledged !== null) {
      this.#isOpen = !isEmptyFilter(filter);
      this.#acknowledged(included, acknowledged);
    } else {
      this.#refused(included, error);
    }
    this.#catchUp();
  }

  #acknowledged(included: readonly Watched[], acknowledged: ListenFilter): void {
    this.#backOff.reset();
    this.#followed.clear();
    const honoured = new Set([
      ...acknowledged.resourceSubscriptions.map((uri) => watchKey('resource', uri)),
      ...acknowledged.taskIds.map((id) => watchKey('task', id)),
    ]);
    for (const watched of included) {
      const key = watchKey(watched.kind, watched.id);
      if (honoured.has(key)) this.#followed.set(key, watched);
    }
    this.#settle(included, (key) => (honoured.has(key) ? null : NOT_OFFERED));
  }

  #refused(included: readonly Watched[], error: ControlError): void {
    // What was followed before still is: the endpoint keeps the earlier listen open.
    this.#settle(included, (key) => (this.#followed.has(key) ? null : error));
    // After an error response there is no other attempt before the next handshake.
    if (mayPassLater(error) && !this.#isScheduled) this.#schedule(this.#backOff.next());
  }

  #settle(included: readonly Watched[], outcome: (key: string) => ControlError | null): void {
    for (const { kind, id } of included) this.#pending.delete(watchKey(kind, id));
    for (const watched of included) this.#owner.settled(watched, outcome(watchKey(watched.kind, watched.id)));
  }

  /** Schedules another listen if the requests changed while this one was being opened. */
  #catchUp(): void {
    let hasChanged = this.#pending.size > 0;
    for (const watched of this.#followed.values()) hasChanged ||= !this.#owner.isRequested(watched);
    if (hasChanged) this.#schedule(COLLECT_MS);
  }

  #filter(included: readonly Watched[]): ListenFilter {
    const lists = (kind: string): boolean => this.#lists && memberOf(this.endpoint, kind)?.['listChanged'] === true;
    return {
      toolsListChanged: lists('tools'),
      promptsListChanged: lists('prompts'),
      resourcesListChanged: lists('resources'),
      resourceSubscriptions: included.filter(({ kind }) => kind === 'resource').map(({ id }) => id),
      taskIds: included.filter(({ kind }) => kind === 'task').map(({ id }) => id),
    };
  }
}

/** Whether the capabilities of the server include changes of this kind. Tasks of older revisions are not followed. */
export function announces(endpoint: BaseEndpoint, { kind }: Pick<Watched, 'kind'>): boolean {
  if (kind === 'resource') return memberOf(endpoint, 'resources')?.['subscribe'] === true;
  return endpoint.era === Era.modern && memberOf(endpoint, 'extensions')?.[TASKS_EXTENSION] !== undefined;
}

function memberOf(endpoint: BaseEndpoint, name: string): Record<string, unknown> | null {
  const member = endpoint.handshake?.capabilities[name];
  return typeof member === 'object' && member !== null ? (member as Record<string, unknown>) : null;
}

/** Whether a failed subscription is worth another try on this connection. */
function mayPassLater({ kind, number }: ControlError): boolean {
  return kind === 'timeout' || kind === 'closed' || kind === 'unreachable' || (kind === 'http' && mayPass(number));
}

function asControlError(reason: unknown): ControlError {
  return reason instanceof ControlError ? reason : new ControlError('invalid', 'the subscription failed');
}
