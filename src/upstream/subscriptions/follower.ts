import { Era } from '../../protocol/revisions.js';
import type { Milliseconds } from '../../units.js';
import { BackOff } from '../balance/back-off.js';
import { ControlError, resultOf } from '../core/control.js';
import type { BaseEndpoint } from '../core/endpoint.js';
import { namesNothing } from '../core/listen-filter.js';
import type { ListenFilter, WatchKind } from '../core/types.js';

/** Changes of what a modern upstream is to announce are collected for so long. */
const COLLECT_MS: Milliseconds = 20;
/** Longest wait for the answer to a subscription. */
const ANSWER_MS: Milliseconds = 10_000;
const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** A resource or task that is followed. */
export interface Watched {
  readonly kind: WatchKind;
  readonly id: string;
}

/** A text that only this kind and id have. */
export function keyOf(kind: WatchKind, id: string): string {
  return `${kind} ${id}`;
}

/** What a follower follows and whom it tells. */
export interface FollowerOwner {
  wanted(): Iterable<Watched>;
  isWanted(watched: Watched): boolean;
  /** An attempt is over; `error` null = it is followed now. */
  settled(watched: Watched, error: ControlError | null): void;
}

/** One for all: a client names a thousand resources in one message, and the stack of an error costs more than the rest. */
const NOT_OFFERED = new ControlError('rpc', 'the upstream does not announce changes of this', -32_601);

/**
 * Makes one endpoint announce what is wanted: `resources/subscribe` and `resources/unsubscribe` at a legacy server, one
 * `subscriptions/listen` with everything in it at a modern one.
 */
export class Follower {
  readonly #endpoint: () => BaseEndpoint;
  readonly #lists: boolean;
  readonly #owner: FollowerOwner;
  readonly #backOff = new BackOff(250);
  /** What the endpoint has confirmed, by key. */
  readonly #followed = new Map<string, Watched>();
  /** What is on its way to it, by key. */
  readonly #trying = new Map<string, Watched>();
  /** Counts handshakes: what was said before the last one does not hold any more. */
  #epoch = 0;
  #timer: NodeJS.Timeout | undefined;
  #planned = false;
  #listening = false;
  /** Whether a listen is open. */
  #open = false;
  #closed = false;

  /** @param endpoint the endpoint at the moment: another may have taken its place */
  constructor(endpoint: () => BaseEndpoint, lists: boolean, owner: FollowerOwner) {
    this.#endpoint = endpoint;
    this.#lists = lists;
    this.#owner = owner;
  }

  get endpoint(): BaseEndpoint {
    return this.#endpoint();
  }

  follows(watched: Watched): boolean {
    return this.endpoint.state === 'ready' && this.#followed.has(keyOf(watched.kind, watched.id));
  }

  /** Whether it is not settled yet if this endpoint will follow. */
  isTrying(watched: Watched): boolean {
    const { state, handshake } = this.endpoint;
    // A lane that is being started for the first time.
    if (state === 'connecting' && handshake === null) return true;
    return state === 'ready' && this.#trying.has(keyOf(watched.kind, watched.id));
  }

  /** It is wanted, or it is not wanted any more. */
  changed(watched: Watched): void {
    if (this.#closed || this.endpoint.state !== 'ready') return;
    const key = keyOf(watched.kind, watched.id);
    const wanted = this.#owner.isWanted(watched);
    if (wanted && !announces(this.endpoint, watched)) {
      this.#owner.settled(watched, NOT_OFFERED);
    } else if (this.endpoint.era === Era.modern) {
      if (!wanted) this.#trying.delete(key);
      if (wanted === this.#followed.has(key)) return;
      if (wanted) this.#trying.set(key, watched);
      this.#plan(COLLECT_MS);
    } else if (!this.#trying.has(key) && wanted !== this.#followed.has(key)) {
      void this.#subscribe(key, watched, wanted);
    }
  }

  /** The endpoint has a new handshake: what was said before does not hold any more. */
  initialized(): void {
    this.#epoch += 1;
    this.#followed.clear();
    this.#trying.clear();
    this.#backOff.reset();
    this.#open = false;
    if (this.endpoint.era === Era.modern) this.#plan(0);
    for (const watched of [...this.#owner.wanted()]) this.changed(watched);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #subscribe(key: string, watched: Watched, wanted: boolean): Promise<void> {
    const epoch = this.#epoch;
    this.#trying.set(key, watched);
    // From here on it may end at any moment.
    this.#followed.delete(key);
    let error: ControlError | null = null;
    try {
      const method = wanted ? 'resources/subscribe' : 'resources/unsubscribe';
      resultOf(await this.endpoint.request(method, { uri: watched.id }, { timeoutMs: ANSWER_MS }));
    } catch (reason) {
      error = asControlError(reason);
    }
    if (this.#closed || epoch !== this.#epoch) return;
    this.#trying.delete(key);
    // A refused end of a subscription is one all the same: its updates have nobody to go to.
    if (wanted && error === null) this.#followed.set(key, watched);
    if (wanted) this.#owner.settled(watched, error);
    // It may have been wanted or left again meanwhile. After an error nobody asks who has not been told.
    if (error === null || !wanted) this.changed(watched);
  }

  #plan(delayMs: Milliseconds): void {
    if (this.#planned || this.#closed) return;
    this.#planned = true;
    this.#timer = setTimeout(() => {
      this.#planned = false;
      void this.#listen();
    }, delayMs);
  }

  async #listen(): Promise<void> {
    // The one that is under way asks again when it is done.
    if (this.#listening || this.endpoint.state !== 'ready' || this.endpoint.era !== Era.modern) return;
    const epoch = this.#epoch;
    const asked: Watched[] = [];
    for (const watched of this.#owner.wanted()) if (announces(this.endpoint, watched)) asked.push(watched);
    const filter = this.#filter(asked);
    if (namesNothing(filter) && !this.#open) return;
    this.#listening = true;
    // What this listen leaves out may end at any moment: who wants it from here on waits for the next one.
    for (const [key, watched] of this.#followed) if (!this.#owner.isWanted(watched)) this.#followed.delete(key);
    let acknowledged: ListenFilter | null = null;
    let error: ControlError | null = null;
    try {
      acknowledged = await this.endpoint.listen(filter);
    } catch (reason) {
      error = asControlError(reason);
    }
    this.#listening = false;
    if (this.#closed) return;
    if (epoch !== this.#epoch) {
      this.#plan(0);
      return;
    }
    if (acknowledged !== null) {
      this.#open = !namesNothing(filter);
      this.#acknowledged(asked, acknowledged);
    } else {
      this.#refused(asked, error!);
    }
    this.#catchUp();
  }

  #acknowledged(asked: readonly Watched[], acknowledged: ListenFilter): void {
    this.#backOff.reset();
    this.#followed.clear();
    const honoured = new Set([
      ...acknowledged.resourceSubscriptions.map((uri) => keyOf('resource', uri)),
      ...acknowledged.taskIds.map((id) => keyOf('task', id)),
    ]);
    for (const watched of asked) {
      const key = keyOf(watched.kind, watched.id);
      if (honoured.has(key)) this.#followed.set(key, watched);
    }
    this.#settle(asked, (key) => (honoured.has(key) ? null : NOT_OFFERED));
  }

  #refused(asked: readonly Watched[], error: ControlError): void {
    // What was followed before still is: the endpoint keeps the earlier listen.
    this.#settle(asked, (key) => (this.#followed.has(key) ? null : error));
    // Only a server that said no is left alone until its next handshake.
    if (error.kind === 'timeout' || error.kind === 'closed' || error.kind === 'unreachable') {
      if (!this.#planned) this.#plan(this.#backOff.next());
    }
  }

  #settle(asked: readonly Watched[], outcome: (key: string) => ControlError | null): void {
    for (const { kind, id } of asked) this.#trying.delete(keyOf(kind, id));
    for (const watched of asked) this.#owner.settled(watched, outcome(keyOf(watched.kind, watched.id)));
  }

  /** What was wanted or left while a listen was being opened. */
  #catchUp(): void {
    let left = this.#trying.size > 0;
    for (const watched of this.#followed.values()) left ||= !this.#owner.isWanted(watched);
    if (left) this.#plan(COLLECT_MS);
  }

  #filter(asked: readonly Watched[]): ListenFilter {
    const lists = (kind: string): boolean => this.#lists && memberOf(this.endpoint, kind)?.['listChanged'] === true;
    return {
      toolsListChanged: lists('tools'),
      promptsListChanged: lists('prompts'),
      resourcesListChanged: lists('resources'),
      resourceSubscriptions: asked.filter(({ kind }) => kind === 'resource').map(({ id }) => id),
      taskIds: asked.filter(({ kind }) => kind === 'task').map(({ id }) => id),
    };
  }
}

/** Whether the server says that it announces changes of this kind. Tasks of older revisions are not followed. */
export function announces(endpoint: BaseEndpoint, { kind }: Pick<Watched, 'kind'>): boolean {
  if (kind === 'resource') return memberOf(endpoint, 'resources')?.['subscribe'] === true;
  return endpoint.era === Era.modern && memberOf(endpoint, 'extensions')?.[TASKS_EXTENSION] !== undefined;
}

function memberOf(endpoint: BaseEndpoint, name: string): Record<string, unknown> | null {
  const member = endpoint.handshake?.capabilities[name];
  return typeof member === 'object' && member !== null ? (member as Record<string, unknown>) : null;
}

function asControlError(reason: unknown): ControlError {
  return reason instanceof ControlError ? reason : new ControlError('invalid', 'the subscription failed');
}
