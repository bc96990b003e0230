/** What the head of an HTTP response says about its body. Every reader of responses decides by this file. */

/** Media types of bodies. */
export const Media = { other: 0, json: 1, eventStream: 2 } as const;

/** What a response is to a request. */
export const Answer = {
  /** The body is JSON. */
  json: 0,
  /** The body is an event stream. */
  events: 1,
  /** A success without messages. */
  other: 2,
  /** The body says at most why the request was refused. */
  refusal: 3,
} as const;

/** Content codings that are decoded (RFC 9110 section 8.4.1). */
export const Coding = { identity: 0, gzip: 1, deflate: 2, brotli: 3, unknown: 4 } as const;

/** Reads status and media type. Every success counts, whatever its number (RFC 9110 section 15.3). */
export function answerOf(status: number, media: number): number {
  if (status < 200 || status > 299) return Answer.refusal;
  if (media === Media.eventStream) return Answer.events;
  return media === Media.json ? Answer.json : Answer.other;
}

/** The media type in a `Content-Type`, with or without parameters, in any case of letters; JSON where there is none. */
export function mediaOf(contentType: string): number {
  const end = contentType.indexOf(';');
  const type = (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  if (type === 'text/event-stream') return Media.eventStream;
  const isJson = type === '' || type === 'application/json' || type === 'application/json-rpc' || type === 'text/json';
  return isJson || /^[^\s/]+\/[^\s/]+\+json$/.test(type) ? Media.json : Media.other;
}

/** The coding in a `Content-Encoding`. Several codings on one body are unknown. */
export function codingOf(contentEncoding: string): number {
  switch (contentEncoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      return Coding.identity;
    case 'gzip':
    case 'x-gzip':
      return Coding.gzip;
    case 'deflate':
      return Coding.deflate;
    case 'br':
      return Coding.brotli;
    default:
      return Coding.unknown;
  }
}

/** Where JSON begins: after a byte order mark, which it may not have (RFC 8259 section 8.1) but some servers send. */
export function bodyStart(bytes: Uint8Array, length: number): number {
  return length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}
