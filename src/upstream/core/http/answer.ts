/** What the head of an HTTP response says about its body. Every reader of responses decides by this file. */

/** What a response is to a request. */
export const Answer = {
  /** A success. The body is JSON, whatever media type it claims, or means nothing. */
  messages: 0,
  /** A success with an event stream. Events of all names hold messages. */
  events: 1,
  /** The body says at most why the request was refused: a JSON-RPC error, or text. */
  refusal: 2,
} as const;

/** Content codings that are decoded (RFC 9110 section 8.4.1). */
export const Coding = { identity: 0, gzip: 1, deflate: 2, brotli: 3, unknown: 4 } as const;

/** What a response is. Every success counts, whatever its number (RFC 9110 section 15.3). @returns one of {@link Answer} */
export function answerOf(status: number, isEventStream: boolean): number {
  if (status < 200 || status > 299) return Answer.refusal;
  return isEventStream ? Answer.events : Answer.messages;
}

/** Whether a refusal may be over soon, so that the same request is worth another try later. */
export function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}

/** Whether a `Content-Type` is that of an event stream, with or without parameters, in any case of letters. */
export function isEventStream(contentType: string): boolean {
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase() === 'text/event-stream';
}

/** The coding in a `Content-Encoding`. Several codings on one body are unknown. @returns one of {@link Coding} */
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
