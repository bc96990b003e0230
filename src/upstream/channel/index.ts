/** One connection that all calls of an endpoint share: a child's pipes, a WebSocket, an event stream with its POSTs. */

import type { ErrorCode } from '../../errors.js';
import type { Exchange } from '../../request/exchange/index.js';
import type { Bytes } from '../../units.js';
import type { BackOff, RestartBudget } from '../balance/back-off.js';
import type { CredentialError } from '../core/credentials.js';
import type { SkippedMessage } from './skipped-message.js';

/** What a channel reports to, its endpoint; never from within a call of one of the channel's methods. */
export interface ChannelListener {
  /** Messages can be exchanged. A channel that cannot be opened only reports `closed`. */
  opened(): void;
  /** One message, not scanned; `bytes[0, length)` is valid only during the call. */
  message(bytes: Uint8Array, length: number): void;
  /** Bytes that are no message by the rules of the transport. */
  malformed(bytes: Uint8Array): void;
  /** A message that was not held has ended; others follow. `message` is valid only during the call. */
  skipped(message: SkippedMessage): void;
  /** A message is longer than any that is skipped; no more are delivered. */
  messageEndless(): void;
  /**
   * One message could not be delivered; the channel stays open.
   *
   * @param id as given to {@link Channel.write}
   * @param sent whether any byte of it may have reached the server
   * @param detail a sentence for the client after the one of the error, '' = none
   */
  rejected(id: number, error: ErrorCode, sent: boolean, detail: string): void;
  /**
   * The server does not know the session of the channel, which is closed next: the message was not executed.
   *
   * @returns whether it is sent again on the next channel
   */
  unread(owner: Exchange, id: number, message: Buffer): boolean;
  /**
   * The last report.
   *
   * @param reason a clause without secrets, such as `closed the connection`
   * @param error why it could not be opened, where calls that wait for it are told more than that
   */
  closed(reason: string, error?: CredentialError | null): void;
}

/** See the file comment. */
export interface Channel {
  /** Bytes that the server has not taken yet. */
  readonly queued: Bytes;
  /**
   * @param message one JSON-RPC message; the channel owns it from now on
   * @param owner the call, marked as sent when its bytes are written; null for messages of the gateway itself
   * @param id the request's id towards the upstream; 0 = a message without one, whose rejection is not reported
   * @returns false when too many bytes wait already or the channel is closed; the message is dropped then
   */
  write(message: Buffer, owner: Exchange | null, id: number): boolean;
  /** Removes a call that was not written yet. @returns whether it was removed */
  withdraw(owner: Exchange): boolean;
  /** Closes it in order. Settles when it is closed. */
  stop(): Promise<void>;
  /** Closes it without waiting for the server. Settles when it is closed. */
  terminate(): Promise<void>;
}

/** What differs by the kind of channel. */
export interface ChannelOptions {
  /** Bounds how often a channel that ended is opened again; null = with pauses only. */
  readonly budget: RestartBudget | null;
  /** Pauses between two channels. */
  readonly backOff: BackOff;
  /** Modern servers do not use this transport: no probe. */
  readonly legacyOnly: boolean;
}
