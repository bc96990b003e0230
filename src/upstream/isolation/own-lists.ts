import type { ServerSnapshot } from '../../config/snapshot/index.js';
import type { Milliseconds } from '../../units.js';
import type { BaseEndpoint, EndpointContext } from '../core/endpoint.js';
import type { Discovery, ListChanges } from '../core/types.js';
import { changedLists } from '../discovery/index.js';
import { ListReader, type ListSource } from '../discovery/lists.js';

const ALL: ListChanges = { tools: true, prompts: true, resources: true };

/** What {@link OwnLists} report to. */
export interface OwnListsListener {
  /** The lists have changed since they were last asked for. */
  ownListsChanged(endpoint: BaseEndpoint, changes: ListChanges): void;
}

/** The lists of a server at one dedicated endpoint. Read when a client first asks for them, and followed from then on. */
export class OwnLists implements ListSource {
  readonly index: number;
  readonly config: ServerSnapshot;
  readonly #endpoint: BaseEndpoint;
  readonly #listener: OwnListsListener;
  readonly #reader: ListReader;
  readonly #waiting = new Set<(found: Discovery | null) => void>();
  #isWanted = false;
  /** A client was given the shared lists, since reading these took too long. */
  #isLate = false;
  #before: Discovery | null = null;

  constructor(endpoint: BaseEndpoint, config: ServerSnapshot, context: EndpointContext, listener: OwnListsListener) {
    this.index = endpoint.server;
    this.config = config;
    this.#endpoint = endpoint;
    this.#listener = listener;
    this.#reader = new ListReader(this, context);
  }

  /**
   * The lists, read at first use.
   *
   * @returns null when they cannot be read within the time; nothing waits for them again then, and they are reported as
   *   changed when they were read
   */
  get(timeoutMs: Milliseconds): Promise<Discovery | null> {
    const { discovery } = this.#reader;
    if (discovery !== null || this.#isLate) return Promise.resolve(discovery);
    if (!this.#isWanted) {
      this.#isWanted = true;
      this.initialized();
    }
    return new Promise((resolve) => {
      const settle = (found: Discovery | null): void => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        resolve(found);
      };
      const timer = setTimeout(() => this.#goOnWithout(settle), timeoutMs);
      this.#waiting.add(settle);
    });
  }

  /** The endpoint has made its handshake. */
  initialized(): void {
    if (this.#isWanted && this.readyEndpoint() !== null) this.#reader.schedule();
  }

  /** The server announces changes. */
  changed(): void {
    if (this.#isWanted) this.#reader.changed();
  }

  close(): void {
    this.#reader.stop();
    for (const settle of [...this.#waiting]) settle(null);
  }

  listsFailed(): void {
    for (const settle of [...this.#waiting]) this.#goOnWithout(settle);
  }

  #goOnWithout(settle: (found: null) => void): void {
    this.#isLate = true;
    settle(null);
  }

  readyEndpoint(): BaseEndpoint | null {
    return this.#endpoint.state === 'ready' ? this.#endpoint : null;
  }

  discovered(found: Discovery): void {
    const before = this.#before;
    this.#before = found;
    if (before !== null || this.#isLate)
      this.#listener.ownListsChanged(this.#endpoint, before === null ? ALL : changedLists(before, found));
    for (const settle of [...this.#waiting]) settle(found);
  }
}
