import { spawn } from 'node:child_process';
import { compileSnapshot } from '../config/compile/index.js';
import { isLoopbackHost } from '../config/compile/loopback.js';
import { loadConfigFile } from '../config/load.js';
import type { Snapshot } from '../config/snapshot/index.js';
import { loginsOf, type OAuthSnapshot } from '../config/snapshot/user-logins.js';
import type { Milliseconds } from '../units.js';
import type { LoginStore } from '../upstream/credentials/login-store.js';
import type { Callback } from './callback.js';
import { type Command, EXIT, type ExitCode, type Options, readArguments, UsageError } from './console/command.js';
import { maskWith, printError, printLine, printNote, printWarning } from './console/print.js';
import { requiredFile } from './files/config-file.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; default: that of the working folder' },
  scope: {
    type: 'string',
    value: "'A B'",
    help: 'scopes to ask for; default: those of the file, else what the server names',
  },
  'no-browser': { type: 'boolean', help: 'the link is only printed' },
} as const satisfies Options;

/** Time that a user has. */
const TIMEOUT_MS: Milliseconds = 600_000;

/** A server that wants the consent of a user, and where the login is kept. */
export interface LoginTarget {
  readonly auth: OAuthSnapshot;
  readonly store: LoginStore;
}

/**
 * The server of a configuration that a command names.
 *
 * @throws UsageError when it is unknown, or wants no login
 */
export async function loginTarget(
  config: string | undefined,
  names: readonly string[],
  command: string,
): Promise<LoginTarget> {
  const [name, ...others] = names;
  if (name === undefined || others.length > 0) throw new UsageError(`name one server: switchyard ${command} SERVER`);
  const loaded = await loadConfigFile(requiredFile(config, command));
  maskWith(loaded);
  for (const warning of loaded.warnings) printWarning(warning);
  const snapshot = compileSnapshot(loaded);
  const auth = authOf(snapshot, name);
  const [{ sessionSecrets }, { openLoginStore }] = await Promise.all([
    import('../session/secrets.js'),
    import('../upstream/credentials/logins.js'),
  ]);
  const { secrets, volatileReason } = sessionSecrets(snapshot.sessions);
  if (volatileReason !== null) {
    throw new UsageError(`the login cannot be kept, since ${volatileReason}; set sessions.secret or sessions.keyFile`);
  }
  return { auth, store: openLoginStore(snapshot.logins, secrets) };
}

function authOf({ servers }: Snapshot, name: string): OAuthSnapshot {
  const logins = servers.flatMap(loginsOf);
  const found = logins.find(({ server }) => server === name);
  if (found !== undefined) return found;
  const known = [...new Set(logins.map(({ server }) => server))].join(', ');
  if (!servers.some((server) => server.name === name)) throw new UsageError(`there is no server "${name}"`);
  const others = known === '' ? 'no server does' : `these do: ${known}`;
  throw new UsageError(`the server "${name}" wants no login (auth with type oauth); ${others}`);
}

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const { auth, store } = await loginTarget(flags.config, files, 'login');
  const [{ LoginError, LoginFlow }, { loginKey, LoginStoreError }] = await Promise.all([
    import('../upstream/credentials/login-flow.js'),
    import('../upstream/credentials/login-store.js'),
  ]);
  const key = loginKey(auth.server, auth.serverUrl, '');
  try {
    const before = await store.read(key).catch(() => null);
    const { callback, redirectUrl } = await openCallback(auth, before?.redirectUrl ?? '');
    try {
      const flow = new LoginFlow(auth, redirectUrl, before, flags.scope ?? '');
      const { href } = await flow.start();
      printLine(`Log in at ${auth.server} in a browser on this machine:`);
      printLine(href);
      if (flags['no-browser'] !== true && process.stdout.isTTY) openBrowser(href);
      const isDone = await callback.wait(async (query) => {
        const login = await flow.finish(query);
        await store.locked(key, () => store.write(key, login));
        return `Logged in at ${auth.server}. This page can be closed.`;
      }, TIMEOUT_MS);
      if (!isDone) {
        printError(`nobody logged in within ${TIMEOUT_MS / 60_000} minutes`);
        return EXIT.failed;
      }
      printNote(`logged in at ${auth.server}; a gateway that runs takes it within seconds`);
      return EXIT.ok;
    } finally {
      await callback.close();
    }
  } catch (error) {
    if (!(error instanceof LoginError) && !(error instanceof LoginStoreError)) throw error;
    printError(error.message);
    return EXIT.failed;
  }
}

/** @param before the redirect URL of the last registration, whose port is used again where it is free */
async function openCallback(auth: OAuthSnapshot, before: string): Promise<{ callback: Callback; redirectUrl: string }> {
  const [{ Callback }, { CALLBACK_PATH }] = await Promise.all([
    import('./callback.js'),
    import('../request/accept/http/paths.js'),
  ]);
  const own = new URL(`http://127.0.0.1:${auth.redirectPort}${CALLBACK_PATH}`);
  if (auth.redirectUrl !== '') {
    const url = new URL(auth.redirectUrl);
    if (url.protocol === 'http:' && isLoopbackHost(url.hostname)) {
      return { callback: await opened(Callback, url), redirectUrl: auth.redirectUrl };
    }
    throw new UsageError(`auth.redirectUrl of "${auth.server}" leads to a gateway; use the link in its log or /stats`);
  }
  if (auth.redirectPort === 0 && before !== '' && isLoopbackHost(new URL(before).hostname)) {
    try {
      return { callback: await Callback.open(new URL(before)), redirectUrl: before };
    } catch {
      // The gateway itself may have the port: another one takes another registration.
    }
  }
  const callback = await opened(Callback, own);
  own.port = String(callback.port);
  return { callback, redirectUrl: own.href };
}

async function opened(type: typeof Callback, url: URL): Promise<Callback> {
  try {
    return await type.open(url);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`the browser cannot be awaited at ${url.href} (${code ?? 'unknown error'})`);
  }
}

/** Opens the link where that works; it is printed in any case. */
function openBrowser(href: string): void {
  const [program, ...before] =
    process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['explorer'] : ['xdg-open'];
  const child = spawn(program as string, [...before, href], { detached: true, stdio: 'ignore' });
  child.on('error', () => {});
  child.unref();
}

/** `switchyard login`. */
export const login: Command = {
  name: 'login',
  summary: 'log in at a server that wants the consent of a user',
  usage: ['SERVER [-c FILE]'],
  about: `Logs in at a server whose \`auth\` is of type \`oauth\`, in a browser on this machine, and keeps the login for the gateway, sealed
with its session key.`,
  options: OPTIONS,
  notes: 'Exit codes: 0 logged in, 1 not, 78 the configuration cannot be used.',
  examples: ['switchyard login tracker', 'switchyard login tracker --config switchyard.yaml --no-browser'],
  run,
};
