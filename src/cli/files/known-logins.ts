/** What is stored of the logins at servers that want the consent of a user: nothing is written, and no server is asked. */
import { randomBytes } from 'node:crypto';
import type { SessionsSnapshot, Snapshot } from '../../config/snapshot/index.js';
import { loginsOf, type OAuthSnapshot } from '../../config/snapshot/user-logins.js';
import { KeyFileError, readKey } from '../../session/key-file.js';
import type { Count } from '../../units.js';
import { LoginStoreError, loginKey } from '../../upstream/credentials/login-store.js';
import { openLoginStore } from '../../upstream/credentials/logins.js';

/** The logins at one server. */
export interface KnownLogin {
  /** `gateway`: one for all clients; `principal`: one for each, besides that of the gateway, which the lists are read with. */
  readonly per: OAuthSnapshot['per'];
  /** Of the gateway: `ended` = the authorization server has ended it; `unreadable` = it was sealed with another session key. */
  readonly state: 'stored' | 'none' | 'ended' | 'unreadable';
  /** How many principals have one. */
  readonly principals: Count;
}

/** By name of the server; servers that want no login are not there. */
export async function knownLogins(snapshot: Snapshot): Promise<ReadonlyMap<string, KnownLogin>> {
  const known = new Map<string, KnownLogin>();
  for (const auth of snapshot.servers.flatMap(loginsOf)) {
    if (!known.has(auth.server)) known.set(auth.server, await knownLogin(snapshot, auth));
  }
  return known;
}

async function knownLogin({ logins, sessions }: Snapshot, auth: OAuthSnapshot): Promise<KnownLogin> {
  const { per, server, serverUrl } = auth;
  const store = openLoginStore(logins, sessions.secrets.length > 0 ? sessions.secrets : [keyOf(sessions)]);
  const key = loginKey(server, serverUrl, '');
  try {
    const login = await store.read(key);
    const isOver = login?.accessToken === '' && login.refreshToken === '';
    const principals = (await store.count(key.server)) - (login === null ? 0 : 1);
    return { per, state: login === null ? 'none' : isOver ? 'ended' : 'stored', principals };
  } catch (error) {
    if (!(error instanceof LoginStoreError)) throw error;
    return { per, state: 'unreadable', principals: Math.max(0, (await store.count(key.server)) - 1) };
  }
}

/** The key that logins are sealed with; where there is none, one that opens nothing. */
function keyOf({ keyFile }: SessionsSnapshot): string {
  try {
    const key = keyFile === null ? null : readKey(keyFile);
    if (key !== null) return key;
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
  }
  return randomBytes(32).toString('base64url');
}
