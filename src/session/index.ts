/** Legacy sessions: sealed ids, what this process remembers of them, and their standalone streams. */
import { randomBytes } from 'node:crypto';
import type { SessionsSnapshot } from '../config/snapshot.js';
import { readOrCreateKeyFile } from './key-file.js';
import { SessionSealer } from './seal.js';

export { readOrCreateKeyFile } from './key-file.js';
export { type SealedSession, SessionSealer } from './seal.js';
export { Session, SessionTable, type SessionTableOptions } from './sessions.js';
export { StandaloneStreams, type StandaloneStreamsOptions } from './streams.js';

// Without a secret and a key file sessions end with the process, but not with a reload of its configuration.
let processSecret = '';

/**
 * The sealer that a configuration asks for: its secrets, else those of its key file (made when missing), else a secret
 * of this process.
 *
 * @throws Error when the key file cannot be used
 */
export function openSealer(sessions: SessionsSnapshot): SessionSealer {
  if (sessions.secrets.length > 0) return new SessionSealer(sessions.secrets);
  if (sessions.keyFile !== null) return new SessionSealer([readOrCreateKeyFile(sessions.keyFile)]);
  if (processSecret === '') processSecret = randomBytes(32).toString('base64url');
  return new SessionSealer([processSecret]);
}
