/** Where the child launcher is (`launcher.c`), which ends a stdio child's whole tree when the gateway dies. */

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { releaseFolder } from './addon.js';

/**
 * Path of the launcher, or null when it has not been built.
 *
 *     switchyard-launcher [-g GRACE_MS] FD COMMAND [ARG...]
 *
 * FD is the read end of a pipe whose write end the gateway holds and never writes to. The launcher starts
 * COMMAND in a session of its own with the launcher's stdin, stdout and stderr, and exits with its status
 * (128 + signal number when a signal ended it, 127 when it could not be started). When the pipe breaks, or
 * on SIGTERM, SIGINT or SIGHUP, the command's group gets SIGTERM; what lives GRACE_MS milliseconds
 * later (default 2000, 0 to 60000; 0 kills at once) is killed, also processes that left the group.
 */
export function launcherPath(): string | null {
  const path = join(releaseFolder, 'switchyard-launcher');
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return null;
  }
}
