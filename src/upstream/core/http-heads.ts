/** Header lists for one HTTP upstream, prepared once for each handshake so that calls build none. */
import { METHODS } from '../../../native/layout.js';
import { isReservedHeader } from '../../config/reserved-headers.js';
import type { UrlEndpointSnapshot } from '../../config/snapshot.js';
import { encodeHeaderValue } from '../../protocol/header-value.js';
import { Era, REVISIONS, Revision } from '../../protocol/revisions.js';

/** The parts of a handshake that the lists depend on. */
export interface HeadSource {
  readonly era: Era;
  readonly revision: number;
  /** '' = none. */
  readonly sessionId: string;
}

/** The prepared lists; replaced with each handshake. */
export class HttpHeads {
  /** The session of the lists, '' = none. */
  readonly sessionId: string;
  readonly #post: readonly string[];
  readonly #modern: boolean;
  readonly #byMethod: (readonly string[] | undefined)[] = new Array(METHODS.length).fill(undefined);

  constructor(configured: Readonly<Record<string, string>>, source: HeadSource) {
    this.sessionId = source.sessionId;
    this.#modern = source.era === Era.modern;
    this.#post = [
      'content-type',
      'application/json',
      'accept',
      'application/json, text/event-stream',
      ...versionAndSession(source),
      ...configuredHeaders(configured),
    ];
  }

  /** For a call of that method without a name. The list must not be changed. */
  forMethod(method: number): readonly string[] {
    let list = this.#byMethod[method];
    if (list === undefined) {
      // A method without a number has its header among those of the call.
      const name = METHODS[method] ?? '';
      list = this.#modern && name !== '' ? [...this.#post, 'mcp-method', name] : this.#post;
      this.#byMethod[method] = list;
    }
    return list;
  }

  /** For control messages. @param name what the message is about, '' = nothing that has a name */
  forControl(method: string, name = ''): string[] {
    if (!this.#modern) return [...this.#post];
    const named = name === '' ? [] : ['mcp-name', encodeHeaderValue(name)];
    return [...this.#post, 'mcp-method', method, ...named];
  }
}

/** For opening a stream with GET (legacy). */
export function streamHeaders(
  configured: Readonly<Record<string, string>>,
  source: HeadSource,
  lastEventId: string,
): string[] {
  return [
    'accept',
    'text/event-stream',
    ...versionAndSession(source),
    ...(lastEventId === '' ? [] : ['last-event-id', lastEventId]),
    ...configuredHeaders(configured),
  ];
}

function versionAndSession(source: HeadSource): string[] {
  const list: string[] = [];
  // Earlier revisions do not define the header, and `initialize` is sent without it.
  if (source.revision >= Revision.r2025_06_18) list.push('mcp-protocol-version', REVISIONS[source.revision] ?? '');
  if (source.sessionId !== '') list.push('mcp-session-id', source.sessionId);
  return list;
}

function configuredHeaders(configured: Readonly<Record<string, string>>): string[] {
  return Object.entries(configured)
    .filter(([name]) => !isReservedHeader(name))
    .flatMap(([name, value]) => [name.toLowerCase(), value]);
}

/** Where an endpoint is reached: its URL without credentials and fragment, and its headers. */
export interface EndpointAddress {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/** The address of an endpoint. Credentials in its URL become `Authorization`, unless that header is configured. */
export function addressOf(config: UrlEndpointSnapshot): EndpointAddress {
  const url = new URL(config.url);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  url.hash = '';
  const hasHeader = Object.keys(config.headers).some((name) => name.toLowerCase() === 'authorization');
  if ((username === '' && password === '') || hasHeader) return { url, headers: config.headers };
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  return { url, headers: { ...config.headers, authorization } };
}
