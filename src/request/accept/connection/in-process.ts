/** The in-process door: a client in the same program, without a socket. */
import { Framing } from '../../exchange/index.js';
import type { ExchangeTable } from '../../exchange/table.js';
import type { FrontHandler } from '../http/handler.js';
import { ClientConnection, type ConnectionLimits } from './index.js';

/** A client's end of a connection within the process. */
export interface LocalConnection {
  /** Called with each message to the client, in a later turn of the loop; the bytes are the client's own. */
  onmessage: ((message: Buffer) => void) | null;
  /** Called once when the connection has ended, from either side; with a sentence when the gateway says why. */
  onclose: ((sentence: string) => void) | null;
  /** Sends one message; objects are written with `JSON.stringify`. @throws Error when the connection is closed */
  send(message: object | string | Uint8Array): void;
  /** Ends the connection; what is in flight is cancelled. */
  close(): void;
}

/**
 * Opens a connection to the gateway that `handler` and `table` belong to.
 *
 * @param token the bearer token that its messages are judged with; default none
 */
export function openLocalConnection(
  handler: FrontHandler,
  table: ExchangeTable,
  limits: ConnectionLimits,
  token = '',
): LocalConnection {
  let queue: Buffer[] = [];
  let queued = 0;
  let isClosed = false;
  const close = (sentence: string): void => {
    if (isClosed) return;
    isClosed = true;
    connection.closed();
    setImmediate(() => local.onclose?.(sentence));
  };
  const deliver = (): void => {
    const messages = queue;
    queue = [];
    queued = 0;
    for (const message of messages) local.onmessage?.(message);
    connection.drained();
  };
  const connection = new ClientConnection({
    wire: {
      framing: Framing.message,
      send: (bytes, start, end) => {
        if (queue.length === 0) setImmediate(deliver);
        queue.push(Buffer.from(bytes.subarray(start, end)));
        queued += end - start;
      },
      buffered: () => queued,
      remoteAddress: () => '',
      close: (_code, sentence = '') => close(sentence),
    },
    handler,
    table,
    limits,
    token,
  });
  const local: LocalConnection = {
    onmessage: null,
    onclose: null,
    send: (message) => {
      if (isClosed) throw new Error('the connection to the gateway is closed');
      const bytes =
        message instanceof Uint8Array
          ? message
          : Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
      connection.receive(bytes, bytes.byteLength);
    },
    close: () => close(''),
  };
  return local;
}
