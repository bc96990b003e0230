/**
 * Ends a stdio child with the gateway where the launcher cannot be built.
 *
 * The watcher is a POSIX shell that runs beside the child, not around it:
 *
 *     1. spawn COMMAND with `detached: true` (its own session and group; PID is then the group's id)
 *     2. spawn the watcher with `detached: true`, stdio: ['pipe', 'ignore', 'ignore'], and keep its stdin open
 *     3. when the child has ended, write a line to that stdin: the watcher ends and kills nothing
 *
 * If the gateway dies, the pipe breaks, `read` fails, and the watcher sends TERM and, after the grace, KILL to
 * the child's group. Unlike the launcher it does not reach processes that left the group.
 */

/** A command and its arguments, to be started without a shell of its own. */
export interface Watcher {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * The watcher for the group of a child.
 *
 * @param groupId - process id of a child started with `detached: true`; a positive integer above 1
 * @param graceSeconds - seconds between TERM and KILL; 0 kills at once; default 2
 * @throws RangeError for a group id that would reach the gateway itself or every process
 */
export function fallbackWatcher(groupId: number, graceSeconds = 2): Watcher {
  if (!Number.isSafeInteger(groupId) || groupId <= 1) throw new RangeError(`Not a process group: ${groupId}`);
  const seconds = Math.max(0, Math.ceil(graceSeconds));
  // `kill -TERM -- -1234` is an error in dash; the form with -s is the one that every shell has.
  const script =
    'read _ && exit 0; ' +
    'if [ "$2" -gt 0 ]; then kill -s TERM -- "-$1" 2>/dev/null; sleep "$2"; fi; ' +
    'kill -s KILL -- "-$1" 2>/dev/null';
  return { command: '/bin/sh', args: ['-c', script, 'switchyard-watcher', String(groupId), String(seconds)] };
}
