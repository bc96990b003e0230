import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Returns a connection to its server without the `Upgrade` field of its last request. With a listener for `upgrade`
 * node:http emits that event for every request with the field, also for those that are served without an upgrade
 * (clients of many languages offer HTTP/2 with each request).
 *
 * @param head bytes that were read behind the head of the request
 */
export function withoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  const { rawHeaders } = request;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const value = rawHeaders[at + 1] ?? '';
    const key = name.toLowerCase();
    if (key === 'upgrade' || key === 'http2-settings') continue;
    const kept = key === 'connection' ? withoutOffer(value) : value;
    if (key !== 'connection' || kept !== '') lines.push(`${name}: ${kept}`);
  }
  socket.removeAllListeners();
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

function withoutOffer(value: string): string {
  const kept = value.split(',').filter((part) => !/^\s*(upgrade|http2-settings)\s*$/i.test(part));
  return kept.join(',').trim();
}
