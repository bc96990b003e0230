/** What kind of credential a request carries. */
export const Scheme = {
  none: 0,
  /** `Authorization: Bearer` (RFC 6750), or the token of a connection that has no headers. */
  bearer: 1,
  /** `Authorization: Basic` (RFC 7617). */
  basic: 2,
  /** `Authorization` with a scheme that no provider takes. */
  other: 3,
  /** The first header of the configuration that carries a credential; the others follow. */
  header: 4,
} as const;

/** Between the values of {@link Caller.attributes}; no header value contains it (RFC 9110 section 5.5). */
export const ATTRIBUTE_SEPARATOR = '\n';

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
  /** The values of the request headers in `Snapshot.attributes`, in that order, {@link ATTRIBUTE_SEPARATOR} between them; empty = none. */
  readonly attributes: string;

  constructor(token: string, scheme: number, view = 0, attributes = '') {
    this.token = token;
    this.scheme = scheme;
    this.view = view;
    this.attributes = attributes;
  }

  /** The caller of a connection without headers. @param token its bearer token, '' = none */
  static ofToken(token: string): Caller {
    return token === '' ? NOBODY : new Caller(token, Scheme.bearer);
  }
}

/** A caller without credential, on the endpoint that offers everything, with none of the headers that policy reads. */
export const NOBODY = new Caller('', Scheme.none);
