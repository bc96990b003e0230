import type { Spans } from '../../../native/spans.js';
import type { Count, Milliseconds } from '../../units.js';
import { ControlError, type ControlReply, controlMessage, copyReply, FIRST_CALL_ID } from '../core/control.js';
import type { HandshakePeer } from './handshake.js';
import type { Channel } from './index.js';
import type { ListenCarrier } from './listen.js';

/** Longest delay of a timer: a listen has no time limit. */
const NO_LIMIT: Milliseconds = 2 ** 31 - 1;

interface Pending {
  readonly resolve: (reply: ControlReply) => void;
  readonly reject: (error: ControlError) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * The gateway's own requests on a channel that calls share, and the responses that they wait for. One for each endpoint: it
 * outlives the channels, which the endpoint attaches one after the other.
 */
export class ChannelRequests implements HandshakePeer, ListenCarrier {
  readonly #pending = new Map<number, Pending>();
  #channel: Channel | null = null;
  #lastId = 0;

  /** @param channel carries the requests from now on; null = none is open */
  attach(channel: Channel | null): void {
    this.#channel = channel;
  }

  /** See {@link HandshakePeer}. */
  request(method: string, params: object | null, timeoutMs: Milliseconds, isModern: boolean): Promise<ControlReply> {
    const { id, reply } = this.#open(timeoutMs);
    if (!this.#write(controlMessage(id, method, params, isModern), id)) this.fail(id, notWritable());
    return reply;
  }

  notify(method: string, params: object | null): void {
    this.#write(controlMessage(null, method, params, false), 0);
  }

  openListen(params: object): { id: number; reply: Promise<ControlReply> } | null {
    const { id, reply } = this.#open(NO_LIMIT);
    if (this.#write(controlMessage(id, 'subscriptions/listen', params, true), id)) return { id, reply };
    this.fail(id, notWritable());
    return null;
  }

  cancelListen(id: number): void {
    this.notify('notifications/cancelled', { requestId: id });
    // The server may respond or not (MCP, cancellation).
    this.fail(id, new ControlError('closed', 'the subscription was cancelled'));
  }

  /** A response arrived. @returns whether a request with that id was waiting */
  settle(id: number, bytes: Uint8Array, length: number, spans: Spans): boolean {
    const pending = this.#remove(id);
    pending?.resolve(copyReply(bytes, length, spans));
    return pending !== undefined;
  }

  /** Fails a request. @returns whether one with that id was waiting */
  fail(id: number, error: ControlError): boolean {
    const pending = this.#remove(id);
    pending?.reject(error);
    return pending !== undefined;
  }

  /** Those that wait. */
  get size(): Count {
    return this.#pending.size;
  }

  /** The id of the only one that waits, -1 = there are none or several. */
  get onlyId(): number {
    const [id = -1, ...others] = this.#pending.keys();
    return others.length > 0 ? -1 : id;
  }

  failAll(error: ControlError): void {
    for (const id of [...this.#pending.keys()]) this.fail(id, error);
  }

  #open(timeoutMs: Milliseconds): { id: number; reply: Promise<ControlReply> } {
    do this.#lastId = (this.#lastId % (FIRST_CALL_ID - 1)) + 1;
    while (this.#pending.has(this.#lastId));
    const id = this.#lastId;
    const reply = new Promise<ControlReply>((resolve, reject) => {
      const timer = setTimeout(
        () => this.fail(id, new ControlError('timeout', 'the upstream did not answer in time')),
        timeoutMs,
      );
      this.#pending.set(id, { resolve, reject, timer });
    });
    // The caller may have stopped waiting (a raced probe): the rejection must not count as unhandled.
    reply.catch(() => {});
    return { id, reply };
  }

  #write(message: Buffer, id: number): boolean {
    return this.#channel?.write(message, null, id) === true;
  }

  #remove(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    return pending;
  }
}

function notWritable(): ControlError {
  return new ControlError('closed', 'the upstream takes no input');
}
