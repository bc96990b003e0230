import type { Bytes } from '../../../units.js';
import type { Framing } from '../../exchange/index.js';

/** Why the gateway ends a connection: close codes of RFC 6455 section 7.4.1 and of its registry. */
export const CloseCode = {
  goingAway: 1001,
  unsupportedData: 1003,
  policyViolation: 1008,
  internalError: 1011,
  /** The client is too slow; the connection is cut without a close frame. */
  tryAgainLater: 1013,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** The transport of one connection. No method throws. */
export interface ConnectionWire {
  /** One of Framing: the form in which streamed messages are written. */
  readonly framing: Framing;
  /**
   * Sends one message, copied before the call returns.
   *
   * @param framed the bytes are framed as `framing` says; otherwise they are one bare JSON document
   */
  send(bytes: Uint8Array, start: number, end: number, framed: boolean): void;
  /** Bytes that the client has not taken. */
  buffered(): Bytes;
  /** Its address as text; empty when it has none. */
  remoteAddress(): string;
  /**
   * Ends the connection; `ClientConnection.closed` is called before or after the call returns.
   *
   * @param reason one sentence for the client, where its transport has room for one (up to 123 bytes)
   */
  close(code: CloseCode, reason?: string): void;
  /** Stops and resumes reading; for transports that cannot, only the limit on waiting messages holds. */
  pause?(): void;
  resume?(): void;
}
