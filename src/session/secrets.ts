/** Legacy sessions: sealed ids, what this process remembers of them, and their standalone streams. */
import { randomBytes } from 'node:crypto';
import type { SessionsSnapshot } from '../config/snapshot.js';
import { readOrCreateKeyFile } from './key-file.js';
import { SessionSealer } from './seal.js';

// Without a secret and a key file sessions end with the process, but not with a reload of its configuration.
let processSecret = '';

/**
 * The secrets that a configuration asks for, newest first: its own, else that of its key file (made when missing), else
 * one of this process.
 *
 * @throws KeyFileError when the key file cannot be used
 */
export function sessionSecrets(sessions: SessionsSnapshot): readonly string[] {
  if (sessions.secrets.length > 0) return sessions.secrets;
  if (sessions.keyFile !== null) return [readOrCreateKeyFile(sessions.keyFile)];
  if (processSecret === '') processSecret = randomBytes(32).toString('base64url');
  return [processSecret];
}

/** The sealer of session ids that a configuration asks for. @throws KeyFileError when the key file cannot be used */
export function openSealer(sessions: SessionsSnapshot): SessionSealer {
  return new SessionSealer(sessionSecrets(sessions));
}
