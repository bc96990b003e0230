/** One connection that all calls of an endpoint share: a child's pipes, a WebSocket, an event stream with its POSTs. */
import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes } from '../../units.js';

/** What a channel tells its endpoint; never from within a call of one of its own methods. */
export interface ChannelListener {
  /** Messages can be exchanged. Not called when that never comes about, then only `ended` is. */
  opened(): void;
  /** One message, not looked at; `bytes[0, length)` is valid only during the call. */
  message(bytes: Uint8Array, length: number): void;
  /** Something that is no message in the terms of the transport. */
  junk(bytes: Uint8Array): void;
  /** The other side sent a message over `limits.maxLineBytes`; no more are delivered. */
  tooLong(): void;
  /** There was no room for a message (`limits.maxBufferedBytes`); no more are delivered. */
  crowdedOut(): void;
  /**
   * One message could not be handed over, the others can.
   *
   * @param id as given to {@link Channel.write}
   * @param sent whether any byte of it may have reached the other side
   */
  refused(id: number, error: ErrorCode, sent: boolean): void;
  /** It is over; nothing follows. `reason` is a clause without secrets, such as `closed the connection`. */
  ended(reason: string): void;
}

/** See the file comment. */
export interface Channel {
  /** Bytes that the other side has not taken yet. */
  readonly queued: Bytes;
  /** Members of /stats that only this kind has. */
  readonly details: Readonly<Record<string, unknown>>;
  /**
   * @param message one JSON-RPC message; becomes the channel's
   * @param owner the call it is, marked as sent when its bytes go out; null for messages of the gateway itself
   * @param id the request's id towards the upstream; 0 = it has none, nobody wants to hear that it was refused
   * @returns false when too much waits already or the channel is over; nothing was taken then
   */
  write(message: Buffer, owner: Exchange | null, id: number): boolean;
  /** Takes back a call that has not gone out. @returns whether it could be */
  withdraw(owner: Exchange): boolean;
  /** Ends it in good order. Settles when nothing of it is left. */
  stop(): Promise<void>;
  /** Ends it at once, or as soon as the other side gives in. Settles when nothing of it is left. */
  terminate(): Promise<void>;
}
