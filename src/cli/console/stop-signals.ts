import { closeSync, openSync } from 'node:fs';
import { EXIT } from './command.js';

/** The first stop signal resolves `first`; the second ends the process at once. */
export class StopSignals {
  readonly first: Promise<NodeJS.Signals>;
  #resolve: (signal: NodeJS.Signals) => void = () => {};

  constructor() {
    this.first = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    let seen = false;
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        if (seen) process.exit(EXIT.failed);
        seen = true;
        if (name === 'SIGINT' && process.stderr.isTTY) {
          process.stderr.write('\nstopping once the requests in flight are done; press Ctrl+C again to stop at once\n');
        }
        this.#resolve(name);
      });
    }
  }

  /**
   * Calls `reload` for each further SIGHUP. Closing the terminal sends SIGHUP too: then the process stops, as it would
   * without a handler.
   */
  onHangUp(reload: () => void): void {
    const hasTerminal = process.stdin.isTTY === true || process.stderr.isTTY === true;
    process.on('SIGHUP', () => {
      if (hasTerminal && isTerminalClosed()) this.#resolve('SIGHUP');
      else reload();
    });
  }
}

function isTerminalClosed(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}
