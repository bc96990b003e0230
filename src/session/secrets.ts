/** The secrets that seal session ids and handles. */
import { randomBytes } from 'node:crypto';
import type { SessionsSnapshot } from '../config/snapshot/index.js';
import { KeyFileError, readOrCreateKeyFile } from './key-file.js';
import { SessionSealer } from './seal.js';

// Without a secret and a key file, sessions end with the process, but survive a reload of its configuration.
let processSecret = '';

/** The secrets of a configuration. */
export interface SessionSecrets {
  /** Newest first. */
  readonly secrets: readonly string[];
  /** Why they end with the process; null = they do not. */
  readonly volatileReason: string | null;
}

/**
 * The secrets of a configuration: `sessions.secret`, else the key file (created when missing), else a random secret of this
 * process, also where the default key file cannot be used.
 *
 * @throws KeyFileError when the key file that the configuration names cannot be used
 */
export function sessionSecrets(sessions: SessionsSnapshot): SessionSecrets {
  if (sessions.secrets.length > 0) return { secrets: sessions.secrets, volatileReason: null };
  let volatileReason = 'there is no key file';
  if (sessions.keyFile !== null) {
    try {
      return { secrets: [readOrCreateKeyFile(sessions.keyFile)], volatileReason: null };
    } catch (error) {
      if (!sessions.isKeyFileOptional || !(error instanceof KeyFileError)) throw error;
      volatileReason = error.reason;
    }
  }
  if (processSecret === '') processSecret = randomBytes(32).toString('base64url');
  return { secrets: [processSecret], volatileReason };
}

/** The sealer of session ids for a configuration. @throws KeyFileError as {@link sessionSecrets} */
export function openSealer(sessions: SessionsSnapshot): SessionSealer {
  return new SessionSealer(sessionSecrets(sessions).secrets);
}
