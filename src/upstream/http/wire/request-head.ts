/** The head of a POST as bytes. */
import type { SocketServer } from './socket.js';

/** Host and port of a URL. */
export function serverOf({ hostname, port, protocol }: URL): SocketServer {
  const secure = protocol === 'https:';
  return {
    host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
    port: port === '' ? (secure ? 443 : 80) : Number(port),
    secure,
  };
}

/** Request line and headers, up to the last line end. @param headers names and values in turn */
export function postHead({ pathname, search, host }: URL, headers: readonly string[]): Buffer {
  let text = `POST ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n`;
  for (let index = 0; index < headers.length; index += 2) text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  return Buffer.from(text, 'latin1');
}
