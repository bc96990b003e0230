import { connect } from 'node:net';

/** What came back on a raw connection. */
export interface RawReply {
  /** Every byte received, as Latin-1 text. */
  readonly text: string;
  /** The status code of the first response, or 0 when none came. */
  readonly status: number;
  /** Names in lower case; the last of several equal names wins. */
  readonly headers: Readonly<Record<string, string>>;
  /** All bytes after the first blank line. */
  readonly body: string;
  /** The other side ended or reset the connection. */
  readonly closed: boolean;
}

export interface RawRequestOptions {
  /** How long to listen after the last byte was sent, in milliseconds. Default 500; ends early when the peer closes. */
  waitMs?: number;
  /** Ends the wait as soon as the text received so far satisfies this. */
  until?: (text: string) => boolean;
  host?: string;
  /** Sends the pieces of `data` one by one with this pause between them, in milliseconds. */
  paceMs?: number;
}

/** Sends bytes over a plain TCP connection and returns whatever arrives; several pieces go out as several writes. */
export function rawRequest(
  port: number,
  data: string | Buffer | readonly (string | Buffer)[],
  options: RawRequestOptions = {},
): Promise<RawReply> {
  const pieces = Array.isArray(data) ? (data as readonly (string | Buffer)[]) : [data as string | Buffer];
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let closed = false;
    let settled = false;
    let timer: NodeJS.Timeout | undefined;
    const socket = connect({ port, host: options.host ?? '127.0.0.1', noDelay: true });
    const finish = (): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.destroy();
      resolve(parseReply(Buffer.concat(chunks).toString('latin1'), closed));
    };
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (options.until?.(Buffer.concat(chunks).toString('latin1'))) finish();
    });
    socket.on('error', () => {
      closed = true;
      finish();
    });
    socket.on('close', () => {
      closed = true;
      finish();
    });
    socket.on('connect', async () => {
      for (const piece of pieces) {
        if (settled) return;
        socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece);
        if (options.paceMs !== undefined) await new Promise((next) => setTimeout(next, options.paceMs));
      }
      timer = setTimeout(finish, options.waitMs ?? 500);
    });
  });
}

function parseReply(text: string, closed: boolean): RawReply {
  const end = text.indexOf('\r\n\r\n');
  const head = end < 0 ? text : text.slice(0, end);
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? 0);
  return { text, status, headers, body: end < 0 ? '' : text.slice(end + 4), closed };
}
