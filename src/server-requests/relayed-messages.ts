/** The bytes of messages that pass between upstreams and clients. */
import { applyEdits, skipValue } from '../protocol/json-cursor.js';

/** The bytes `[start, end)` in memory of their own. */
export function copy(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.from(bytes.subarray(start, end));
}

/** The number that `bytes[start, end)` spells in decimal digits; NaN for anything else. */
export function digits(bytes: Uint8Array, start: number, end: number): number {
  const text = copy(bytes, start, end).toString('latin1');
  return /^[1-9][0-9]*$/.test(text) ? Number(text) : Number.NaN;
}

/** A client's message with `[start, end)` replaced, on one line: breaks between JSON tokens become spaces. */
export function relayed(bytes: Uint8Array, start: number, end: number, text: Uint8Array): Buffer {
  const first = bytes.indexOf(0x7b);
  const message = applyEdits(bytes, first, skipValue(bytes, first), [{ start, end, text }]);
  for (let index = 0; index < message.length; index += 1) {
    if (message[index] === 0x0a || message[index] === 0x0d) message[index] = 0x20;
  }
  return Buffer.from(message.buffer, message.byteOffset, message.length);
}

/** The error response to a request of an upstream. @param id its id token as sent */
export function errorMessage(id: Uint8Array, code: number, sentence: string): Buffer {
  const error = `,"error":${JSON.stringify({ code, message: sentence })}}`;
  return Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":'), id, Buffer.from(error)]);
}
