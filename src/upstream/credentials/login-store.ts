/** Logins of users at upstreams, sealed on disk: one file for each, so that processes share and renew them one by one. */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { OAuthClientInformationMixed } from '@modelcontextprotocol/sdk/shared/auth.js';
import type { Count, Milliseconds } from '../../units.js';
import { withFileLock } from './file-lock.js';

/** What one login consists of. */
export interface Login {
  /** The upstream that the tokens are for. */
  readonly serverUrl: string;
  /** The authorization server, as the upstream names it. */
  readonly issuer: string;
  /** Its metadata document (RFC 8414). */
  readonly metadata: Readonly<Record<string, unknown>> | null;
  /** Resource indicator (RFC 8707), '' = none. */
  readonly resource: string;
  /** The registration of the gateway there. It outlives the tokens. */
  readonly client: OAuthClientInformationMixed;
  /** The redirect URL that it was registered with. */
  readonly redirectUrl: string;
  /** '' = the user has to log in. */
  readonly accessToken: string;
  /** '' = there is none. */
  readonly refreshToken: string;
  /** When the access token ends, milliseconds since 1970; 0 = unknown. */
  readonly endsAt: Milliseconds;
  /** Scopes that were granted, '' = unknown. */
  readonly scope: string;
}

/** Seals and opens what is written: a `HandleSealer`. */
export interface Sealer {
  seal(content: Uint8Array, deterministic: boolean): string;
  open(text: string): Buffer | null;
}

/** A login cannot be read or written. `message` is a sentence for operators. */
export class LoginStoreError extends Error {}

/** The longest wait for another process that renews the same login. */
const LOCK_MS: Milliseconds = 30_000;

/** Where a login is kept. */
export interface LoginKey {
  /** The same for all logins at one server. */
  readonly server: string;
  /** Differs by principal. */
  readonly principal: string;
}

/** @param principal digest of the subject in hexadecimal, '' = the gateway itself */
export function loginKey(serverName: string, serverUrl: string, principal: string): LoginKey {
  return { server: digest(`${serverName}\n${serverUrl}`), principal: digest(principal) };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** See the file comment. Without a folder, logins end with the process. */
export class LoginStore {
  readonly #folder: string | null;
  readonly #sealer: Sealer;
  readonly #maxLogins: Count;
  readonly #memory = new Map<string, Login>();

  /** @param maxLogins most that are kept; further ones are refused */
  constructor(folder: string | null, sealer: Sealer, maxLogins: Count) {
    this.#folder = folder;
    this.#sealer = sealer;
    this.#maxLogins = maxLogins;
  }

  /** The file of a login; null = it is kept in memory. */
  fileOf(key: LoginKey): string | null {
    return this.#folder === null ? null : join(this.#folder, nameOf(key));
  }

  /** Null = there is none. @throws LoginStoreError */
  async read(key: LoginKey): Promise<Login | null> {
    const file = this.fileOf(key);
    if (file === null) return this.#memory.get(nameOf(key)) ?? null;
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw failed('read', error);
    }
    const content = this.#sealer.open(text.trim());
    if (content === null) {
      throw new LoginStoreError('The stored login cannot be opened with the session key of this gateway.');
    }
    const { name, login } = JSON.parse(content.toString('utf8')) as { name: string; login: Login };
    // Sealed with its name: the file of one principal is of no use as that of another.
    if (name !== nameOf(key)) throw new LoginStoreError('The stored login belongs to another server or principal.');
    return login;
  }

  /** Replaces a login at once or not at all. @throws LoginStoreError */
  async write(key: LoginKey, login: Login): Promise<void> {
    const name = nameOf(key);
    const file = this.fileOf(key);
    await this.#checkRoom(name);
    if (file === null) {
      this.#memory.set(name, login);
      return;
    }
    const draft = `${file}.${randomBytes(6).toString('hex')}.new`;
    try {
      const handle = await open(draft, 'wx', 0o600);
      try {
        await handle.writeFile(`${this.#sealer.seal(Buffer.from(JSON.stringify({ name, login })), false)}\n`);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(draft, file);
    } catch (error) {
      await unlink(draft).catch(() => {});
      throw failed('written', error);
    }
  }

  /** How many logins there are at a server, of the gateway and of principals. */
  async count(server: LoginKey['server']): Promise<Count> {
    return (await this.#namesAt(server)).length;
  }

  /** Forgets all logins at a server. @returns how many there were */
  async remove(server: LoginKey['server']): Promise<Count> {
    const names = await this.#namesAt(server);
    for (const name of names) {
      if (this.#folder === null) this.#memory.delete(name);
      else await unlink(join(this.#folder, name)).catch(() => {});
    }
    return names.length;
  }

  /** Runs `work` while no other process changes this login. @throws LoginStoreError, and what `work` throws */
  async locked<T>(key: LoginKey, work: () => Promise<T>): Promise<T> {
    const file = this.fileOf(key);
    if (file === null) return await work();
    await this.#makeFolder();
    return await withFileLock(`${file}.lock`, LOCK_MS, work);
  }

  async #makeFolder(): Promise<void> {
    if (this.#folder === null) return;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await chmod(this.#folder, 0o700);
    } catch (error) {
      throw failed('written', error);
    }
  }

  async #checkRoom(name: string): Promise<void> {
    const names = await this.#names();
    if (names.length >= this.#maxLogins && !names.includes(name)) {
      throw new LoginStoreError(`The login cannot be kept: logins.maxLogins (${this.#maxLogins}) is reached.`);
    }
  }

  async #namesAt(server: LoginKey['server']): Promise<string[]> {
    return (await this.#names()).filter((name) => name.startsWith(`${server}-`));
  }

  async #names(): Promise<string[]> {
    if (this.#folder === null) return [...this.#memory.keys()];
    const entries = await readdir(this.#folder).catch(() => []);
    return entries.filter((name) => name.endsWith(SUFFIX));
  }
}

const SUFFIX = '.login';

function nameOf({ server, principal }: LoginKey): string {
  return `${server}-${principal}${SUFFIX}`;
}

function failed(verb: string, error: unknown): LoginStoreError {
  const { code } = error as NodeJS.ErrnoException;
  return new LoginStoreError(`The login cannot be ${verb} (${code ?? 'unknown error'}, logins.folder).`);
}
