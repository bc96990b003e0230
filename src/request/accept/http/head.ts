import type { ErrorCode } from '../../../errors.js';
import { ATTRIBUTE_SEPARATOR, Caller, NOBODY, Scheme } from '../../exchange/caller.js';
import { Accepts, type Exchange, type Peer, Verb } from '../../exchange/index.js';
import { type AcceptRules, type AttributeNames, hostName } from './rules.js';

/** Fields that may occur only once, as bits of `#seen`. */
const Once = {
  host: 1 << 0,
  contentLength: 1 << 1,
  transferEncoding: 1 << 2,
  contentType: 1 << 3,
  contentEncoding: 1 << 4,
  authorization: 1 << 5,
  origin: 1 << 6,
  session: 1 << 7,
  version: 1 << 8,
  method: 1 << 9,
  name: 1 << 10,
  lastEventId: 1 << 11,
  expect: 1 << 12,
} as const;

const BODY_HEADERS = Once.contentLength | Once.transferEncoding;
/** Most bytes of all headers that policy reads, of which each value crosses to a worker. */
const MAX_ATTRIBUTE_BYTES = 4096;
const VISIBLE_ASCII = /^[\t\x20-\x7e]*$/;
const PARAM_PREFIX = 'mcp-param-';
const BEARER = /^bearer +([^ ]+)$/i;

/** Bounds of a request head. */
export type HeadLimits = Pick<AcceptRules, 'maxHeaders' | 'maxHeaderBytes'>;

/** Which values of `Host` and `Origin` a listener serves. */
export type NameRules = Pick<AcceptRules, 'hostAllowed' | 'probeHostAllowed' | 'originAllowed'>;

/**
 * The header fields of one request, collected in one pass and checked before anything is dispatched.
 *
 * The server below may be more lenient than HTTP: the uWebSockets.js binary for Node 20 accepts two different
 * Content-Length lines, an empty one, unknown transfer codings and two Host lines, and node:http two Host lines.
 * So the fields that decide about framing and identity are checked here again, the same for both (RFC 9112 sections 3.2
 * and 6.3). Unknown fields are neither kept nor forwarded; names with underscores are unknown.
 */
export class RequestHead {
  /** Declared length of the body in bytes; -1 = not declared. */
  contentLength = -1;
  isChunked = false;
  /** `Origin`; empty = none was sent, or {@link originError} has refused it. */
  origin = '';
  host = '';
  /** `Cookie`, which only the pages for logins read; empty = none. */
  cookie = '';
  /** `Access-Control-Request-Headers` of a preflight; empty = none. */
  preflightHeaders = '';

  /** The headers that policy reads; null = it reads none. */
  attributeNames: AttributeNames | null = null;
  /** Positions of the headers with credentials besides `Authorization` (`AcceptRules.credentialNames`); null = there are none. */
  credentialNames: ReadonlyMap<string, number> | null = null;
  #credentials: (string | null)[] | null = null;
  #attributes: string[] | null = null;
  #attributeBytes = 0;

  #seen = 0;
  #count = 0;
  #bytes = 0;
  #hasRepeats = false;
  #lengthText = '';
  #transferEncoding = '';
  #contentType = '';
  #contentEncoding = '';
  #authorization = '';
  #session = '';
  #version = '';
  #method = '';
  #name = '';
  #lastEventId = '';
  #expect = '';
  #accept = '';
  #ifNoneMatch = '';
  #params: string[] | null = null;

  /** Adds one header line: the name in lower case, the value without white space around it. */
  readonly add = (name: string, value: string): void => {
    this.#count += 1;
    this.#bytes += name.length + value.length + 4;
    if (this.attributeNames !== null) this.#attribute(this.attributeNames, name, value);
    if (this.credentialNames !== null) this.#credential(this.credentialNames, name, value);
    switch (name.length) {
      case 4:
        if (name === 'host' && this.#once(Once.host)) this.host = value;
        return;
      case 6:
        if (name === 'accept') this.#accept = this.#accept === '' ? value : `${this.#accept},${value}`;
        else if (name === 'origin') {
          if (this.#once(Once.origin)) this.origin = value;
        } else if (name === 'cookie') this.cookie = this.cookie === '' ? value : `${this.cookie}; ${value}`;
        else if (name === 'expect' && this.#once(Once.expect)) this.#expect = value;
        return;
      case 8:
        if (name === 'mcp-name' && this.#once(Once.name)) this.#name = value;
        return;
      case 10:
        if (name === 'mcp-method' && this.#once(Once.method)) this.#method = value;
        return;
      case 12:
        if (name === 'content-type') {
          if (this.#once(Once.contentType)) this.#contentType = value;
        } else this.#param(name, value);
        return;
      case 13:
        if (name === 'authorization') {
          if (this.#once(Once.authorization)) this.#authorization = value;
        } else if (name === 'last-event-id') {
          if (this.#once(Once.lastEventId)) this.#lastEventId = value;
        } else if (name === 'if-none-match') {
          this.#ifNoneMatch = this.#ifNoneMatch === '' ? value : `${this.#ifNoneMatch},${value}`;
        } else this.#param(name, value);
        return;
      case 14:
        if (name === 'content-length') {
          if (this.#once(Once.contentLength)) this.#lengthText = value;
        } else if (name === 'mcp-session-id') {
          if (this.#once(Once.session)) this.#session = value;
        } else this.#param(name, value);
        return;
      case 16:
        if (name === 'content-encoding') {
          if (this.#once(Once.contentEncoding)) this.#contentEncoding = value;
        } else this.#param(name, value);
        return;
      case 17:
        if (name === 'transfer-encoding') {
          if (this.#once(Once.transferEncoding)) this.#transferEncoding = value;
        } else this.#param(name, value);
        return;
      case 20:
        if (name === 'mcp-protocol-version') {
          if (this.#once(Once.version)) this.#version = value;
        } else this.#param(name, value);
        return;
      case 30:
        if (name === 'access-control-request-headers') {
          this.preflightHeaders = this.preflightHeaders === '' ? value : `${this.preflightHeaders},${value}`;
        } else this.#param(name, value);
        return;
      default:
        if (name.length > PARAM_PREFIX.length) this.#param(name, value);
    }
  };

  /** Makes the head ready for another request. */
  reset(): void {
    this.contentLength = -1;
    this.isChunked = false;
    this.origin = '';
    this.host = '';
    this.cookie = '';
    this.preflightHeaders = '';
    this.#attributes = null;
    this.#attributeBytes = 0;
    this.#credentials = null;
    this.#seen = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#hasRepeats = false;
    this.#lengthText = '';
    this.#transferEncoding = '';
    this.#contentType = '';
    this.#contentEncoding = '';
    this.#authorization = '';
    this.#session = '';
    this.#version = '';
    this.#method = '';
    this.#name = '';
    this.#lastEventId = '';
    this.#expect = '';
    this.#accept = '';
    this.#ifNoneMatch = '';
    this.#params = null;
  }

  /** Whether size and framing of the request are valid; reads {@link contentLength} and {@link isChunked}. */
  hasValidFraming(rules: HeadLimits): boolean {
    if (this.#hasRepeats || this.#count > rules.maxHeaders || this.#bytes > rules.maxHeaderBytes) return false;
    if (this.#attributeBytes > MAX_ATTRIBUTE_BYTES) return false;
    if ((this.#seen & Once.host) === 0) return false;
    if ((this.#seen & BODY_HEADERS) === BODY_HEADERS) return false;
    if ((this.#seen & Once.transferEncoding) !== 0) {
      if (this.#transferEncoding !== 'chunked') return false;
      this.isChunked = true;
    }
    if ((this.#seen & Once.contentLength) !== 0) {
      this.contentLength = decimal(this.#lengthText);
      if (this.contentLength < 0) return false;
    }
    return (this.#seen & Once.expect) === 0 || this.#expect.toLowerCase() === '100-continue';
  }

  /**
   * Checks `Host`, and `Origin` when present.
   *
   * @param isProbe the path is one that load balancers request for health checks
   * @returns why the request is refused; null = both are allowed
   */
  originError(rules: NameRules, isProbe = false): ErrorCode | null {
    if (!rules.hostAllowed(this.host) && !(isProbe && rules.probeHostAllowed(this.host))) {
      return hostName(this.host.toLowerCase()) === null ? 'GW_FRAMING' : 'GW_FORBIDDEN_HOST';
    }
    if ((this.#seen & Once.origin) !== 0 && !rules.originAllowed(this.origin)) {
      this.origin = '';
      return 'GW_FORBIDDEN_ORIGIN';
    }
    return null;
  }

  /** Checks length, media type and coding of a POST before its body is read. @returns why it is refused; null = it is not */
  bodyError(rules: AcceptRules): ErrorCode | null {
    // Without a length the body would be parsed as the next request on the connection.
    if (!this.isChunked && this.contentLength < 0) return 'GW_FRAMING';
    if (this.contentLength > rules.maxBodyBytes) return 'GW_BODY_TOO_LARGE';
    if (this.#contentEncoding !== '' && this.#contentEncoding.toLowerCase() !== 'identity') return 'GW_MEDIA_TYPE';
    return this.#contentType === 'application/json' || isJson(this.#contentType) ? null : 'GW_MEDIA_TYPE';
  }

  /** Whether `Accept` was sent and excludes JSON. */
  refusesJson(rules: AcceptRules): boolean {
    return this.#accept !== '' && (rules.accepts(this.#accept) & Accepts.json) === 0;
  }

  /** Whether a GET is one of an MCP client: it names event streams or a session. */
  opensStream(rules: AcceptRules): boolean {
    return (rules.accepts(this.#accept) & Accepts.sse) !== 0 || (this.#seen & Once.session) !== 0;
  }

  /** Whether `If-None-Match` contains this entity tag (RFC 9110 section 13.1.2). */
  hasAlready(etag: string): boolean {
    return this.#ifNoneMatch.split(',', 100).some((tag) => tag.trim().replace(/^W\//, '') === etag);
  }

  /** Whether a body is declared; methods that give it no meaning are refused then. */
  get hasBody(): boolean {
    return this.isChunked || this.contentLength > 0;
  }

  /** The client waits for 100 (Continue) before it sends the body (RFC 9110 section 10.1.1). */
  get awaitsContinue(): boolean {
    return (this.#seen & Once.expect) !== 0;
  }

  /** Copies what later stages read into the exchange. @param view position in `Snapshot.views` of the one whose path was requested */
  fill(exchange: Exchange, rules: AcceptRules, peer: Peer, verb: Verb, startedAt: number, view: number): void {
    exchange.message.verb = verb;
    exchange.client.startedAt = startedAt;
    exchange.client.accepts = verb === Verb.delete ? 0 : rules.accepts(this.#accept);
    exchange.client.sessionId = this.#session;
    exchange.message.versionHeader = this.#version;
    exchange.message.methodHeader = this.#method;
    exchange.message.nameHeader = this.#name;
    exchange.message.hasNameHeader = (this.#seen & Once.name) !== 0;
    exchange.client.lastEventId = this.#lastEventId;
    exchange.client.origin = this.origin;
    exchange.message.paramHeaders = this.#params;
    exchange.client.host = this.host;
    exchange.client.caller = this.#caller(rules, peer, view);
  }

  #caller({ auth }: AcceptRules, peer: Peer, view: number): Caller {
    const { credentials } = auth[view]!;
    const attributes = this.#attributes === null ? '' : this.#attributes.join(ATTRIBUTE_SEPARATOR);
    const names = this.attributeNames?.names;
    if (!credentials.isBearerOnly) {
      const { scheme, token } = credentials.find(this.#authorization, this.#credentials, peer);
      return new Caller(token, scheme, view, attributes, names);
    }
    const value = this.#authorization;
    // A token that nothing verifies is not kept: no later stage can take it for one that was.
    if (credentials.isOpen || value === '') {
      return view === 0 && attributes === '' ? NOBODY : new Caller('', Scheme.none, view, attributes, names);
    }
    if (value.startsWith('Bearer ') && value.indexOf(' ', 7) < 0) {
      return new Caller(value.slice(7), Scheme.bearer, view, attributes, names);
    }
    const token = BEARER.exec(value);
    if (token === null) return new Caller('', Scheme.other, view, attributes, names);
    return new Caller(token[1] ?? '', Scheme.bearer, view, attributes, names);
  }

  /**
   * Keeps the value of a header that policy reads. Lines of one name are joined with commas (RFC 9110 section 5.3). A value with
   * other characters than ASCII counts as not sent, since its bytes have no agreed meaning (RFC 9110 section 5.5).
   */
  #attribute({ names, positions }: AttributeNames, name: string, value: string): void {
    const position = positions.get(name);
    if (position === undefined || !VISIBLE_ASCII.test(value)) return;
    this.#attributeBytes += value.length;
    this.#attributes ??= new Array<string>(names.length).fill('');
    const before = this.#attributes[position]!;
    this.#attributes[position] = before === '' ? value : `${before}, ${value}`;
  }

  /**
   * Keeps the value of a header with a credential. Two lines of it are as ambiguous as two of `Authorization`; a value with other
   * characters than ASCII counts as not sent (RFC 9110 section 5.5).
   */
  #credential(names: ReadonlyMap<string, number>, name: string, value: string): void {
    const position = names.get(name);
    if (position === undefined) return;
    this.#credentials ??= new Array<string | null>(names.size).fill(null);
    if (this.#credentials[position] !== null) this.#hasRepeats = true;
    this.#credentials[position] = VISIBLE_ASCII.test(value) ? value : '';
  }

  #once(bit: number): boolean {
    if ((this.#seen & bit) !== 0) {
      this.#hasRepeats = true;
      return false;
    }
    this.#seen |= bit;
    return true;
  }

  #param(name: string, value: string): void {
    if (name.charCodeAt(0) !== 0x6d || !name.startsWith(PARAM_PREFIX)) return;
    if (this.#params === null) this.#params = [];
    for (let at = 0; at < this.#params.length; at += 2) {
      if (this.#params[at] === name) this.#hasRepeats = true;
    }
    this.#params.push(name, value);
  }
}

/** The value of 1 to 15 decimal digits; -1 for anything else (signs, lists, hex, more digits, nothing). */
function decimal(text: string): number {
  if (text.length === 0 || text.length > 15) return -1;
  let value = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** `application/json` with any parameters; a charset must be UTF-8 (RFC 8259 section 8.1). */
function isJson(value: string): boolean {
  const [type = '', ...parameters] = value.toLowerCase().split(';');
  if (type.trim() !== 'application/json') return false;
  return parameters.every((parameter) => {
    const [name = '', text = ''] = parameter.split('=').map((piece) => piece.trim());
    return name !== 'charset' || text === 'utf-8' || text === '"utf-8"' || text === 'utf8';
  });
}
