/** Messages as events of `text/event-stream` (MCP Streamable HTTP; WHATWG HTML section 9.2). */
import type { Composer } from './composer.js';

/** Bytes before and after a message. Clients ignore events with another name. */
export const EVENT_OPEN: Uint8Array = Buffer.from('event: message\ndata: ');
export const EVENT_CLOSE: Uint8Array = Buffer.from('\n\n');
/** Between the fields of one event. */
export const LINE_END: Uint8Array = Buffer.from('\n');
/** Head of an event stream as names and values; `X-Accel-Buffering` keeps proxies from holding events back. */
export const EVENT_STREAM_HEAD: readonly string[] = Object.freeze([
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-cache, no-transform',
  'x-accel-buffering',
  'no',
]);
/** A comment: clients skip it. */
export const KEEP_ALIVE: Uint8Array = Buffer.from(': keep-alive\n\n');

const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
/** Below so many bytes one loop is cheaper than two native searches. */
const SHORT = 256;

/** An event is one line: line breaks between JSON tokens become spaces (inside strings they are escaped anyway). */
export function flatten(composer: Composer, from: number): void {
  const { bytes, length } = composer;
  if (length - from < SHORT) {
    for (let index = from; index < length; index += 1) {
      if (bytes[index] === NEWLINE || bytes[index] === RETURN) bytes[index] = SPACE;
    }
    return;
  }
  const content = bytes.subarray(from, length);
  for (let at = content.indexOf(NEWLINE); at >= 0; at = content.indexOf(NEWLINE, at + 1)) content[at] = SPACE;
  for (let at = content.indexOf(RETURN); at >= 0; at = content.indexOf(RETURN, at + 1)) content[at] = SPACE;
}
