import type { Snapshot } from '../config/snapshot/index.js';
import { ConfigError } from '../errors.js';
import { MASK } from '../secrets/show.js';
import { KeyFileError } from '../session/key-file.js';
import { sessionSecrets } from '../session/secrets.js';

/** A snapshot with the secrets that seal sessions, the same for all parts. */
export interface SealedSnapshot {
  readonly snapshot: Snapshot;
  /** Why sessions end with the process; null = they do not. */
  readonly volatileReason: string | null;
}

/** @throws ConfigError when the key file that the configuration names cannot be used */
export function withSessionSecrets(snapshot: Snapshot): SealedSnapshot {
  try {
    const { secrets, volatileReason } = sessionSecrets(snapshot.sessions);
    const known = secrets.map((value) => ({ value, shown: MASK }));
    const sessions = { ...snapshot.sessions, secrets };
    // What a key in memory has sealed cannot be opened again.
    const logins = volatileReason === null ? snapshot.logins : { ...snapshot.logins, folder: null };
    return { snapshot: { ...snapshot, sessions, logins, secrets: [...snapshot.secrets, ...known] }, volatileReason };
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    throw new ConfigError([`sessions.keyFile: ${error.message}`]);
  }
}
