/**
 * The piscina entry of the policy: one long task a worker. It reads its request ring through the stages
 * authenticate, find, guard, recall and rewrite, writes verdicts, and sleeps until its doorbell rings. Its event
 * loop stays free between batches, for asynchronous verification and for messages of the front.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import { createDoorbell, ring } from '../native/index.js';
import { RECORD_VERSION } from '../src/shared/records.js';
import type { FrontMessage, PolicyTask, WorkerMessage } from '../src/shared/worker-messages.js';
import { Decider } from './decide.js';

/** Records read before other work of this event loop gets its turn. */
const BATCH = 256;
/** Rhythm of what is due without a request: leaders that took too long, verdicts that did not fit. */
const TICK_MS = 25;

/** Serves until the front says `drain`; then finishes what is on the ring and resolves. */
export default function serve(task: PolicyTask): Promise<void> {
  if (task.recordVersion !== RECORD_VERSION) {
    const versions = `records of version ${RECORD_VERSION}, the front of version ${task.recordVersion}`;
    return Promise.reject(new Error(`the worker file is of another build than the gateway: it reads ${versions}`));
  }
  return new Promise((resolve) => {
    const { port, bell: front } = task;
    const say = (message: FrontMessage): void => port.postMessage(message);
    const decider = new Decider(task, () => ring(front.handle, front.cell), say);
    let draining = false;
    let scheduled = false;

    const turn = (): void => {
      scheduled = false;
      if (decider.run(BATCH)) return;
      // More is there, or the front has no room for verdicts: go on after others had their turn.
      scheduled = true;
      if (decider.blocked) setTimeout(turn, 1);
      else setImmediate(turn);
    };
    const wake = (): void => {
      if (!scheduled) turn();
    };
    const receive = (message: WorkerMessage): void => {
      if (message.type === 'drain') draining = true;
      else decider.receive(message);
    };
    decider.catchUp = () => {
      for (;;) {
        const next = receiveMessageOnPort(port);
        if (next === undefined) return;
        receive(next.message as WorkerMessage);
      }
    };

    const bell = createDoorbell(wake);
    const tick = setInterval(() => {
      decider.tick();
      if (!draining || !decider.idle) return;
      clearInterval(tick);
      bell.close();
      port.close();
      resolve();
    }, TICK_MS);
    port.on('message', (message: WorkerMessage) => {
      receive(message);
      wake();
    });
    say({ type: 'ready', bell: { handle: bell.handle, cell: bell.cell } });
    wake();
  });
}
