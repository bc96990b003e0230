/** The secrets that seal session ids and handles. */
import { randomBytes } from 'node:crypto';
import type { SessionsSnapshot } from '../config/snapshot.js';
import { readOrCreateKeyFile } from './key-file.js';
import { SessionSealer } from './seal.js';

// Without a secret and a key file, sessions end with the process, but survive a reload of its configuration.
let processSecret = '';

/**
 * The secrets of a configuration, newest first: `sessions.secret`, else the key file (created when missing), else a random
 * secret of this process.
 *
 * @throws KeyFileError when the key file cannot be used
 */
export function sessionSecrets(sessions: SessionsSnapshot): readonly string[] {
  if (sessions.secrets.length > 0) return sessions.secrets;
  if (sessions.keyFile !== null) return [readOrCreateKeyFile(sessions.keyFile)];
  if (processSecret === '') processSecret = randomBytes(32).toString('base64url');
  return [processSecret];
}

/** The sealer of session ids for a configuration. @throws KeyFileError when the key file cannot be used */
export function openSealer(sessions: SessionsSnapshot): SessionSealer {
  return new SessionSealer(sessionSecrets(sessions));
}
