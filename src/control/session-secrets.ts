import type { Snapshot } from '../config/snapshot.js';
import { ConfigError } from '../errors.js';
import { MASK } from '../secrets/show.js';
import { KeyFileError } from '../session/key-file.js';
import { sessionSecrets } from '../session/secrets.js';

/** The snapshot with the secrets that seal sessions, the same for all parts. @throws ConfigError when the key file cannot be used */
export function withSessionSecrets(snapshot: Snapshot): Snapshot {
  try {
    const secrets = sessionSecrets(snapshot.sessions);
    const known = secrets.map((value) => ({ value, shown: MASK }));
    return { ...snapshot, sessions: { ...snapshot.sessions, secrets }, secrets: [...snapshot.secrets, ...known] };
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    throw new ConfigError([`sessions.keyFile: ${error.message}`]);
  }
}
