/** The worker of the ring case: answers every record with a verdict and does nothing else. */
import { parentPort, workerData } from 'node:worker_threads';
import { createDoorbell, ring } from '../../native/index.js';
import { Ring } from '../../src/shared/ring/index.js';
import { RequestWord, VERDICT_HEAD, VerdictWord } from '../../src/shared/ring/records.js';
import type { BellAddress } from '../../src/shared/ring/worker-messages.js';

const { requests, verdicts, bell } = workerData as {
  requests: SharedArrayBuffer;
  verdicts: SharedArrayBuffer;
  bell: BellAddress;
};
const inbound = new Ring(requests);
const outbound = new Ring(verdicts);

function drain(): void {
  let wake = false;
  do {
    for (let at = inbound.peek(); at >= 0; at = inbound.peek()) {
      const to = outbound.reserve(VERDICT_HEAD);
      if (to < 0) break;
      outbound.words[to + VerdictWord.slot] = inbound.words[at + RequestWord.slot]!;
      wake = outbound.commit() || wake;
      inbound.advance();
    }
    if (wake) ring(bell.handle, bell.cell);
    wake = false;
  } while (!inbound.sleep());
}

const own = createDoorbell(drain);
drain();
// Keeps the thread running, which a doorbell does not.
parentPort!.on('message', () => {
  own.close();
  process.exit(0);
});
parentPort!.postMessage({ handle: own.handle, cell: own.cell });
