import { SESSION_HEADER } from '../../config/reserved-headers.js';
import { Scheme } from '../../shared/scheme.js';

export { Scheme };

/** Between values of request headers that policy reads; no header value contains it (RFC 9110 section 5.5). */
export const ATTRIBUTE_SEPARATOR = '\n';
const NO_NAMES: readonly string[] = [];

/**
 * What a request says about who sends it, and where: all that the policy judges besides the message itself. It never changes, so
 * connections, streams and subscriptions keep the one that they were opened with.
 */
export class Caller {
  /** The credential without its scheme; empty = none. */
  readonly token: string;
  /** A {@link Scheme}, or one of the numbers behind {@link Scheme.header}. */
  readonly scheme: number;
  /** Number of the view: position in `Snapshot.views`; 0 = the endpoint that offers everything. */
  readonly view: number;
  /** The connection that carries its messages and is a session by itself; empty = requests name their session in a header. */
  readonly #connection: string;
  /** The headers that policy read at the last look, and the values of them; empty = none was sent. */
  #names: readonly string[];
  #attributes: string;

  /** @param attributes values of the request headers `names`, in their order, {@link ATTRIBUTE_SEPARATOR} between them; empty = none */
  constructor(token: string, scheme: number, view = 0, attributes = '', names = NO_NAMES, connection = '') {
    this.token = token;
    this.scheme = scheme;
    this.view = view;
    this.#names = names;
    this.#attributes = attributes;
    this.#connection = connection;
  }

  /** The same on a connection that is a session by itself. @param id stands for the header that names sessions; nobody can guess it */
  onConnection(id: string): Caller {
    // Names of its own, so that the first look puts the connection in its place.
    return new Caller(this.token, this.scheme, this.view, this.#attributes, [...this.#names], id);
  }

  /**
   * The values of the request headers `names` (`Snapshot.attributes`), in that order, {@link ATTRIBUTE_SEPARATOR} between them; empty =
   * none was sent. Connections outlive reloads that change the names: a header that policy did not read before counts as not sent.
   */
  attributes(names: readonly string[]): string {
    if (names === this.#names) return this.#attributes;
    if (this.#attributes === '' && this.#connection === '') return '';
    const before = this.#attributes.split(ATTRIBUTE_SEPARATOR);
    const values = names.map((name) =>
      name === SESSION_HEADER && this.#connection !== '' ? this.#connection : (before[this.#names.indexOf(name)] ?? ''),
    );
    this.#names = names;
    this.#attributes = values.every((value) => value === '') ? '' : values.join(ATTRIBUTE_SEPARATOR);
    return this.#attributes;
  }

  /** The caller of a connection without headers. @param token its bearer token, '' = none */
  static ofToken(token: string): Caller {
    return token === '' ? NOBODY : new Caller(token, Scheme.bearer);
  }
}

/** A caller without credential, on the endpoint that offers everything, with none of the headers that policy reads. */
export const NOBODY = new Caller('', Scheme.none);
