import { after } from 'node:test';
import type { TestScope } from './process.js';

const cleanUps: (() => unknown)[] = [];
const fileScope: TestScope = { after: (work) => void cleanUps.push(work) };

after(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

/**
 * Starts something once for each set of arguments, for all tests of a file: a gateway takes most of a second of processor
 * time. It ends with the file. For tests that leave nothing behind that another one would see.
 *
 * @param start gets the scope of the file, and arguments that JSON can tell apart
 */
export function shared<Args extends unknown[], T>(
  start: (scope: TestScope, ...args: Args) => Promise<T>,
): (...args: Args) => Promise<T> {
  const started = new Map<string, Promise<T>>();
  return (...args) => {
    const key = JSON.stringify(args);
    let running = started.get(key);
    if (running === undefined) {
      running = start(fileScope, ...args);
      started.set(key, running);
    }
    return running;
  };
}
