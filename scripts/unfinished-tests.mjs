/**
 * A reporter of node:test that says which tests of a file were under way when the file ran out of time: the runner itself
 * only names the file. Writes nothing otherwise.
 */
export default async function* unfinishedTests(events) {
  /** Names of the tests under way, by file. */
  const running = new Map();
  for await (const { type, data } of events) {
    if (type === 'test:dequeue') {
      if (!running.has(data.file)) running.set(data.file, []);
      running.get(data.file).push(data.name);
    } else if (type === 'test:complete') {
      const names = running.get(data.file) ?? [];
      const index = names.lastIndexOf(data.name);
      if (index >= 0) names.splice(index, 1);
    } else if (type === 'test:fail' && data.details.error?.failureType === 'testTimeoutFailure') {
      const names = [...running.entries()].find(([file]) => file === data.name || file === data.file)?.[1] ?? [];
      const list = names.length === 0 ? 'none: the process did not end' : names.join(' > ');
      yield `switchyard: ${data.name} ran out of time. Tests under way: ${list}\n`;
    }
  }
}
