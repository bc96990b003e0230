import type { ErrorCode } from '../../errors.js';

/** A connection that carries many messages, as the stages know it. */
export interface ClientLink {
  /** 128 bits of the digest of the subject that opened it; only its messages are taken. null = it needs no look. */
  readonly subject: Int32Array | null;
  /** The right of its client is gone: ends the connection with the sentence of `code`, after its calls in flight. */
  end(code: ErrorCode): void;
}

/** The other end of a connection. */
export interface Peer {
  /** Its address as text; empty when the connection is gone. */
  remoteAddress(): string;
}
