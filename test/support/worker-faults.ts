/**
 * Makes policy workers fail on purpose. Imported by a worker file of a test or preloaded with `--import`: from then on, deciding
 * about a call whose name ends with `__KIND` fails in that way.
 */
import { Finder } from '../../workers/find/index.js';

/** The ways in which a worker can fail. */
export const FAULTS = ['throw', 'crash', 'exit', 'loop', 'heap'] as const;
export type Fault = (typeof FAULTS)[number];

const find = Finder.prototype.find;
Finder.prototype.find = function (action, isUri, bytes, start, end) {
  const suffix = Buffer.from(bytes.subarray(start, end)).toString('utf8').split('__').at(-1);
  const fault = FAULTS.find((kind) => kind === suffix);
  if (fault !== undefined) fail(fault);
  find.call(this, action, isUri, bytes, start, end);
};

function fail(fault: Fault): void {
  if (fault === 'throw') throw new Error('a fault on purpose');
  // Outside of the decision.
  if (fault === 'crash') setImmediate(() => fail('throw'));
  else if (fault === 'exit') process.exit(3);
  else if (fault === 'loop') loop();
  else fill();
}

function loop(): void {
  for (let turns = 0; turns >= 0; turns = (turns + 1) & 0xffff);
}

function fill(): never {
  const kept: object[] = [];
  for (;;) kept.push({ at: kept.length, text: `filler ${kept.length}` });
}
