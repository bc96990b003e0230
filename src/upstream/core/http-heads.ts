/** Header lists towards one HTTP upstream, prepared once for each handshake so that calls build nothing. */
import { METHODS } from '../../../native/layout.js';
import { Era, REVISIONS, Revision } from '../../protocol/revisions.js';

/** What the lists depend on. */
export interface HeadSource {
  readonly era: Era;
  readonly revision: number;
  /** '' = none. */
  readonly sessionId: string;
}

/** Names that the configuration may not set: they belong to the transport. */
const OURS = new Set([
  'accept',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Prepared lists; replaced as a whole with each handshake. */
export class HttpHeads {
  /** The session these belong to. */
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
      // A method without a number comes with its own header.
      const named = this.#modern && METHODS[method] !== '';
      list = named ? [...this.#post, 'mcp-method', METHODS[method]!] : this.#post;
      this.#byMethod[method] = list;
    }
    return list;
  }

  /** For control messages. */
  forControl(method: string): string[] {
    return this.#modern ? [...this.#post, 'mcp-method', method] : [...this.#post];
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
  // Earlier revisions do not know the header, and `initialize` goes without it.
  if (source.revision >= Revision.r2025_06_18) list.push('mcp-protocol-version', REVISIONS[source.revision]!);
  if (source.sessionId !== '') list.push('mcp-session-id', source.sessionId);
  return list;
}

function configuredHeaders(configured: Readonly<Record<string, string>>): string[] {
  return Object.entries(configured)
    .filter(([name]) => !OURS.has(name.toLowerCase()))
    .flatMap(([name, value]) => [name.toLowerCase(), value]);
}

/** Credentials in a URL become a header, unless one is configured. */
export function withCredentials(
  configured: Readonly<Record<string, string>>,
  url: URL,
): Readonly<Record<string, string>> {
  if (url.username === '' && url.password === '') return configured;
  if (Object.keys(configured).some((name) => name.toLowerCase() === 'authorization')) return configured;
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { ...configured, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}
