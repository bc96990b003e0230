/** Header lists for one HTTP upstream, prepared once for each handshake so that calls build none. */
import { METHODS } from '../../../../native/layout.js';
import { isReservedHeader } from '../../../config/reserved-headers.js';
import type { UrlEndpointSnapshot } from '../../../config/snapshot/index.js';
import { packageVersion } from '../../../package-root.js';
import { encodeHeaderValue } from '../../../protocol/header-value.js';
import { Era } from '../../../protocol/revisions.js';

/** `User-Agent` of the gateway. */
export const USER_AGENT = `switchyard/${packageVersion}`;

/** Headers of every request, unless they are configured. Compression between servers in one place costs more than it saves. */
const DEFAULTS: readonly (readonly [name: string, value: string])[] = [
  ['user-agent', USER_AGENT],
  ['accept-encoding', 'identity'],
];

/** The parts of a handshake that the lists depend on. */
export interface HeadSource {
  readonly era: Era;
  /** What `MCP-Protocol-Version` names, '' = the header is not sent. */
  readonly versionHeader: string;
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
  if (source.versionHeader !== '') list.push('mcp-protocol-version', source.versionHeader);
  if (source.sessionId !== '') list.push('mcp-session-id', source.sessionId);
  return list;
}

function configuredHeaders(configured: Readonly<Record<string, string>>): string[] {
  const headers = new Map(DEFAULTS);
  for (const [name, value] of Object.entries(configured)) {
    if (!isReservedHeader(name)) headers.set(name.toLowerCase(), value);
  }
  return [...headers].flat();
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
