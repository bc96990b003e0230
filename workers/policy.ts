/**
 * The piscina entry of the policy: one long task per worker. It reads its request ring through the stages authenticate, find,
 * guard, cache and rewrite, writes verdicts, and sleeps until its doorbell rings. Its event loop is free between batches, for
 * asynchronous verification and for messages of the front.
 */
import { createDoorbell } from '../native/index.js';
import { RECORD_VERSION } from '../src/shared/ring/records.js';
import type { PolicyTask, WorkerMessage } from '../src/shared/ring/worker-messages.js';
import type { Milliseconds } from '../src/units.js';
import { Decider } from './decide.js';
import { FrontLink } from './front-link.js';

/** Records read before other work of this event loop gets its turn. */
const BATCH = 256;
/** Interval of what is due without a request: leaders that took too long, verdicts for which there was no room. */
const TICK_MS: Milliseconds = 50;

/**
 * Serves until the front sends `drain`; then finishes what is on the ring and resolves.
 *
 * @throws Error when the front writes records of another version
 */
export default function serve(task: PolicyTask): Promise<void> {
  if (task.recordVersion !== RECORD_VERSION) {
    const versions = `records of version ${RECORD_VERSION}, the front of version ${task.recordVersion}`;
    return Promise.reject(new Error(`the worker file is of another build than the gateway: it reads ${versions}`));
  }
  return new Promise((resolve) => {
    const { port } = task;
    const front = new FrontLink(port, task.bell);
    const decider = new Decider(task, front);
    let isScheduled = false;

    const turn = (): void => {
      isScheduled = false;
      if (decider.run(BATCH)) return;
      // There are more records, or no room for verdicts: continue after other work of the event loop.
      isScheduled = true;
      if (decider.isBlocked) setTimeout(turn, 1);
      else setImmediate(turn);
    };
    const wake = (): void => {
      if (!isScheduled) turn();
    };

    const bell = createDoorbell(wake);
    const tick = setInterval(() => {
      decider.tick();
      if (!decider.isFinished) return;
      clearInterval(tick);
      bell.close();
      port.close();
      resolve();
    }, TICK_MS);
    port.on('message', (message: WorkerMessage) => {
      decider.receive(message);
      wake();
    });
    front.post({ type: 'ready', bell: { handle: bell.handle, cell: bell.cell } });
    wake();
  });
}
