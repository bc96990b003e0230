/** Which names of options, variables, headers and fields announce a secret value. */

/** Words that announce a secret wherever they stand in a name. */
const WORDS: ReadonlySet<string> = new Set([
  'authorization',
  'bearer',
  'cookie',
  'cookies',
  'credential',
  'credentials',
  'dsn',
  'jwt',
  'passphrase',
  'password',
  'passwords',
  'passwd',
  'pwd',
  'secret',
  'secrets',
  'sig',
  'signature',
  'token',
  'tokens',
]);

/** Words that announce one only at the end: `DB_PASS`, `NPM_AUTH`, but not `auth-type`. */
const LAST_WORDS: ReadonlySet<string> = new Set(['auth', 'key', 'keys', 'pass', 'pat', 'session', 'sid']);

/** What a name in one piece ends with: `apikey`, `GITHUBTOKEN`. */
const ENDS = ['token', 'secret', 'password', 'passwd', 'passphrase', 'apikey', 'secretkey', 'privatekey', 'accesskey'];

/** Last words of names whose value is the place or the use of a secret, not the secret. */
const ABOUT: ReadonlySet<string> = new Set([
  'algorithm',
  'audience',
  'bits',
  'bytes',
  'count',
  'dir',
  'directory',
  'enabled',
  'endpoint',
  'expiry',
  'file',
  'folder',
  'format',
  'issuer',
  'length',
  'limit',
  'method',
  'mode',
  'name',
  'path',
  'scheme',
  'size',
  'timeout',
  'ttl',
  'type',
  'uri',
  'url',
]);

/** Words before `key` that make it no secret. */
const HARMLESS_KEYS: ReadonlySet<string> = new Set([
  'cache',
  'foreign',
  'idempotency',
  'partition',
  'primary',
  'public',
  'routing',
  'sort',
]);

const AMOUNTS: ReadonlySet<string> = new Set(['max', 'min', 'num', 'total', 'count']);

/** Longest name that can announce a secret. */
const MAX_NAME = 256;

/** Results by name: log lines repeat a few names. */
const known = new Map<string, boolean>();
const MAX_KNOWN = 1_024;

/** Whether the value under this name (`apiKey`, `--api-key`, `API_KEY`, `X-Api-Key`) is a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > MAX_NAME) return false;
  let result = known.get(name);
  if (result === undefined) {
    result = announcesSecret(name);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(name, result);
  }
  return result;
}

function announcesSecret(name: string): boolean {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
  const last = words.at(-1);
  if (last === undefined || AMOUNTS.has(words[0] ?? '') || (words.length > 1 && ABOUT.has(last))) return false;
  if (last === 'key' || last === 'keys') return !HARMLESS_KEYS.has(words.at(-2) ?? '');
  return LAST_WORDS.has(last) || words.some((word) => WORDS.has(word) || ENDS.some((end) => word.endsWith(end)));
}
