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

/** Between the values of the headers of one credential; no header value contains it (RFC 9110 section 5.5). */
export const CREDENTIAL_SEPARATOR = '\n';
