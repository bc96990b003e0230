/** A configuration as it may be shown: to operators, in logs, in bug reports. */
import type { EndpointSnapshot, Snapshot } from './snapshot.js';

/** What stands in the place of a secret. */
export const MASK = '***';

/** Values shorter than this are too common as parts of words to be masked in running text. */
const SHORTEST_SECRET = 4;

/** Arguments after which, or in which, a secret is likely. */
const SECRET_FLAG = /(key|token|secret|passw|pwd|auth|credential|bearer|cookie|session)/i;

/** Replaces every occurrence of a secret in `text`. */
export function maskSecrets(text: string, secrets: Iterable<string>): string {
  let masked = text;
  // The longest first, so that a secret that contains another one is gone as a whole.
  const known = [...secrets].filter((secret) => secret.length >= SHORTEST_SECRET).sort((a, b) => b.length - a.length);
  for (const secret of known) masked = masked.replaceAll(secret, MASK);
  return masked;
}

/** An address without its user information, query values and fragment. */
export function showUrl(address: string, secrets: Iterable<string> = []): string {
  if (!URL.canParse(address)) return MASK;
  const url = new URL(address);
  const known = [...secrets].flatMap((secret) => [secret, encodeURIComponent(secret)]);
  // Hosts and ports often come from variables and have to be seen; a long word without dots is neither.
  const opaque = known.filter((secret) => secret.length >= 16 && !secret.includes('.'));
  const query = [...new Set(url.searchParams.keys())].map((name) => `${encodeURIComponent(name)}=${MASK}`).join('&');
  // A variable that holds a whole address holds its path, and some addresses are secret by their path.
  const path = url.pathname.length >= SHORTEST_SECRET && known.some((secret) => secret.includes(url.pathname));
  return (
    maskSecrets(url.origin, opaque) +
    (path ? `/${MASK}` : maskSecrets(url.pathname, known)) +
    (query === '' ? '' : `?${query}`)
  );
}

/** Arguments with the values of flags that name a secret masked. */
export function showArgs(args: readonly string[], secrets: Iterable<string> = []): string[] {
  const known = [...secrets];
  return args.map((arg, i) => {
    const flag = /^(--?[\w-]+)=/.exec(arg)?.[1];
    if (flag !== undefined && SECRET_FLAG.test(flag)) return `${flag}=${MASK}`;
    const before = args[i - 1];
    if (before !== undefined && /^--?[\w-]+$/.test(before) && SECRET_FLAG.test(before) && !arg.startsWith('-'))
      return MASK;
    if (/^[\w-]+:\s/.test(arg) && SECRET_FLAG.test(arg.split(':', 1)[0] as string))
      return `${arg.split(':', 1)[0]}: ${MASK}`;
    return URL.canParse(arg) && /^(https?|wss?|postgres(ql)?|mysql|mongodb(\+srv)?|rediss?|amqps?):/.test(arg)
      ? showUrlLike(arg, known)
      : maskSecrets(arg, known);
  });
}

function showUrlLike(text: string, secrets: readonly string[]): string {
  const url = new URL(text);
  if (url.username !== '') url.username = 'masked';
  if (url.password !== '') url.password = 'masked';
  for (const name of new Set(url.searchParams.keys())) url.searchParams.set(name, MASK);
  return maskSecrets(url.href, secrets);
}

function maskValues(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(map).map((name) => [name, MASK]));
}

function showEndpoint(endpoint: EndpointSnapshot, secrets: readonly string[]): EndpointSnapshot {
  if (endpoint.transport !== 'stdio') {
    return { ...endpoint, url: showUrl(endpoint.url, secrets), headers: maskValues(endpoint.headers) };
  }
  return {
    ...endpoint,
    command: maskSecrets(endpoint.command, secrets),
    args: showArgs(endpoint.args, secrets),
    env: maskValues(endpoint.env),
    cwd: endpoint.cwd === null ? null : maskSecrets(endpoint.cwd, secrets),
  };
}

function showAuth(auth: Snapshot['auth']): Snapshot['auth'] {
  if (auth.type === 'bearer') return { ...auth, tokens: auth.tokens.map((entry) => ({ ...entry, token: MASK })) };
  if (auth.type === 'jwt') {
    return { ...auth, secret: auth.secret === null ? null : MASK, jwksUrl: auth.jwksUrl && showUrl(auth.jwksUrl) };
  }
  return auth;
}

/**
 * A printable copy of `snapshot`: tokens, secrets, header values and variables are masked, and so is every text that
 * holds one of `secrets` (what `${VAR}` put into the configuration; see `LoadedConfig.secrets`).
 */
export function redactSnapshot(snapshot: Snapshot, secrets: Iterable<string> = []): Snapshot {
  const known = [...secrets];
  return {
    ...snapshot,
    auth: showAuth(snapshot.auth),
    servers: snapshot.servers.map((server) => ({
      ...server,
      endpoints: server.endpoints.map((endpoint) => showEndpoint(endpoint, known)),
    })),
    sessions: { ...snapshot.sessions, secrets: snapshot.sessions.secrets.map(() => MASK) },
  };
}
