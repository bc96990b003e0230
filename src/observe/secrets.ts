/** Keeps secrets out of the log: by the names of fields, and by the values that the configuration holds. */
import type { EndpointSnapshot, Snapshot } from '../config/snapshot.js';

export const REDACTED = '[redacted]';

/** Shorter values are too likely to be part of harmless words. */
const MIN_LENGTH = 6;
const MAX_SECRETS = 10_000;

/** Names of fields, headers, variables and options whose values are secret. */
const SECRET_NAME =
  /(authorization|cookie|password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|signature)/i;

/** Whether a field of this name holds a secret. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Every secret value of a configuration. */
export function secretsOf(snapshot: Pick<Snapshot, 'auth' | 'servers' | 'sessions'>): string[] {
  const found = new Set<string>(snapshot.sessions.secrets);
  const { auth } = snapshot;
  if (auth.type === 'bearer') for (const { token } of auth.tokens) found.add(token);
  if (auth.type === 'jwt' && auth.secret !== null) found.add(auth.secret);
  if (auth.type === 'jwt' && auth.jwksUrl !== null) addUrl(found, auth.jwksUrl);
  for (const { endpoints } of snapshot.servers) for (const endpoint of endpoints) addEndpoint(found, endpoint);
  return [...found].filter((secret) => secret.length >= MIN_LENGTH);
}

function addEndpoint(found: Set<string>, endpoint: EndpointSnapshot): void {
  if (endpoint.transport !== 'stdio') {
    addUrl(found, endpoint.url);
    for (const [name, value] of Object.entries(endpoint.headers)) addHeader(found, name, value);
    return;
  }
  for (const [name, value] of Object.entries(endpoint.env)) if (isSecretName(name)) found.add(value);
  for (const value of Object.values(endpoint.env)) addUrl(found, value);
  endpoint.args.forEach((argument, index) => {
    const equals = argument.indexOf('=');
    if (equals > 0 && isSecretName(argument.slice(0, equals))) found.add(argument.slice(equals + 1));
    const before = endpoint.args[index - 1];
    if (before?.startsWith('-') === true && isSecretName(before)) found.add(argument);
    addUrl(found, argument);
  });
}

/** Header values that say who one is: any that is not plainly harmless. */
function addHeader(found: Set<string>, name: string, value: string): void {
  if (/^(accept|content-type|user-agent)/i.test(name)) return;
  found.add(value);
  const credentials = /^(bearer|basic)\s+(.*)$/i.exec(value);
  if (credentials === null) return;
  found.add(credentials[2]!);
  if (credentials[1]!.toLowerCase() !== 'basic') return;
  const decoded = Buffer.from(credentials[2]!, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon >= 0) found.add(decoded.slice(colon + 1));
}

/** Passwords and query values of an address. */
function addUrl(found: Set<string>, text: string): void {
  if (!text.includes('://') || !URL.canParse(text)) return;
  const url = new URL(text);
  for (const part of [url.password, safeDecode(url.password)]) found.add(part);
  for (const value of url.searchParams.values()) {
    found.add(value);
    found.add(safeEncode(value));
  }
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A lone surrogate has no spelling in a URL. */
function safeEncode(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Characters of a secret that the filter looks at; {@link MIN_LENGTH} is not below it. */
const LEAD = 4;

/** A number below `size` (a power of two) made of the characters at `at`. */
function leadHash(text: string, at: number, size: number): number {
  let hash = text.charCodeAt(at);
  for (let index = 1; index < LEAD; index += 1) hash = Math.imul(hash, 0x01000193) ^ text.charCodeAt(at + index);
  return (hash ^ (hash >>> 15)) & (size - 1);
}

/**
 * A function that replaces every secret in a line. The spellings that JSON and URLs give them are replaced too. Its
 * cost grows with the line and not with the number of secrets: a table of thousands of tokens is common.
 */
export function scrubber(secrets: readonly string[]): (line: string) => string {
  const spellings = new Set<string>();
  for (const secret of secrets.slice(0, MAX_SECRETS)) {
    for (const spelling of [secret, JSON.stringify(secret).slice(1, -1), safeEncode(secret)]) {
      if (spelling.length >= MIN_LENGTH) spellings.add(spelling);
    }
  }
  if (spellings.size === 0) return (line) => line;
  const size = spellings.size <= 1_000 ? 1 << 16 : 1 << 20;
  const filter = new Uint8Array(size);
  const byLead = new Map<string, string[]>();
  // The longest first: a secret may begin with another one.
  for (const spelling of [...spellings].sort((a, b) => b.length - a.length)) {
    filter[leadHash(spelling, 0, size)] = 1;
    const lead = spelling.slice(0, LEAD);
    const list = byLead.get(lead) ?? [];
    list.push(spelling);
    byLead.set(lead, list);
  }
  return (line) => {
    let result = '';
    let from = 0;
    for (let at = 0; at + LEAD <= line.length; at += 1) {
      if (filter[leadHash(line, at, size)] === 0) continue;
      const start = at;
      const found = byLead.get(line.slice(at, at + LEAD))?.find((secret) => line.startsWith(secret, start));
      if (found === undefined) continue;
      result += line.slice(from, at) + REDACTED;
      at += found.length - 1;
      from = at + 1;
    }
    return from === 0 ? line : result + line.slice(from);
  };
}
