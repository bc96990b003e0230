import { type Command, EXIT, type ExitCode, type Options, readArguments } from './console/command.js';
import { printNote } from './console/print.js';
import { loginTarget } from './login.js';

const OPTIONS = {
  config: { type: 'string', short: 'c', value: 'FILE', help: 'the file; default: that of the working folder' },
} as const satisfies Options;

async function run(args: readonly string[]): Promise<ExitCode> {
  const { flags, files } = readArguments(args, OPTIONS);
  const { auth, store } = await loginTarget(flags.config, files, 'logout');
  const { loginKey } = await import('../upstream/credentials/login-store.js');
  const count = await store.remove(loginKey(auth.server, auth.serverUrl, '').server);
  printNote(count === 0 ? `nobody was logged in at ${auth.server}` : `logged out at ${auth.server} (${count})`);
  return EXIT.ok;
}

/** `switchyard logout`. */
export const logout: Command = {
  name: 'logout',
  summary: 'forget the logins at a server',
  usage: ['SERVER [-c FILE]'],
  about: `Deletes the logins at a server, of the gateway and of all principals, with its registration there. A gateway that runs uses the
access token that it has until it ends.`,
  options: OPTIONS,
  notes: 'Exit codes: 0 logged out, 1 failed, 78 the configuration cannot be used.',
  examples: ['switchyard logout tracker'],
  run,
};
