import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Gives a connection back to its server as if its last request had not offered another protocol. With a listener for
 * `upgrade` node:http hands over every request that offers one, also those that are served as they are (clients of
 * many languages offer HTTP/2 with each request).
 *
 * @param head what of the connection was read behind the request's head
 */
export function withoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  const { rawHeaders } = request;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    if (name === 'upgrade' || name === 'http2-settings') continue;
    const value = name === 'connection' ? withoutOffer(rawHeaders[at + 1]!) : rawHeaders[at + 1]!;
    if (name !== 'connection' || value !== '') lines.push(`${rawHeaders[at]}: ${value}`);
  }
  socket.removeAllListeners();
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

function withoutOffer(value: string): string {
  const kept = value.split(',').filter((part) => !/^\s*(upgrade|http2-settings)\s*$/i.test(part));
  return kept.join(',').trim();
}
