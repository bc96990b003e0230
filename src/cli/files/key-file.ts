import type { LoadedConfig } from '../../config/loaded.js';
import { Problems } from '../../config/problems.js';
import type { Snapshot } from '../../config/snapshot/index.js';

/**
 * Checks that the key file of sessions can be used, before anything is started and without writing.
 *
 * @throws ConfigError with the position in the configuration
 */
export async function checkKeyFile(loaded: LoadedConfig, { sessions }: Snapshot): Promise<void> {
  if (sessions.keyFile === null || sessions.isKeyFileOptional || sessions.secrets.length > 0) return;
  // Loaded here: most configurations name no key file, and their errors are reported without it.
  const { keyFileProblem } = await import('../../session/key-file.js');
  const problem = keyFileProblem(sessions.keyFile);
  if (problem === null) return;
  const problems = new Problems(loaded.file);
  loaded.addProblem(problems, ['sessions', 'keyFile'], problem);
  problems.throwIfAny();
}
