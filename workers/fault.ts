/**
 * Faults on purpose, for the tests of crash recovery: `SWITCHYARD_TEST_FAULT="name:kind,..."` makes the worker fail
 * when it decides about that name. Kinds: `throw` (inside the decision), `crash` (outside of it), `exit`, `loop`,
 * `heap`. Without the variable there is nothing to pay.
 */

/** Fails if `bytes[start, end)` is a name to fail at. */
export type Fault = (bytes: Buffer, start: number, end: number) => void;

/** The faults of the environment, or null. */
export function faultsOf(text: string | undefined): Fault | null {
  if (text === undefined || text === '') return null;
  const kinds = new Map(
    text.split(',').map((part) => {
      const colon = part.lastIndexOf(':');
      return [part.slice(0, colon), part.slice(colon + 1)] as const;
    }),
  );
  return (bytes, start, end) => {
    const kind = kinds.get(bytes.toString('utf8', start, end));
    if (kind !== undefined) fail(kind);
  };
}

function fail(kind: string): void {
  if (kind === 'throw') throw new Error('a fault on purpose');
  if (kind === 'crash') setImmediate(() => fail('throw'));
  else if (kind === 'exit') process.exit(3);
  else if (kind === 'loop') loop();
  else if (kind === 'heap') fill();
  else throw new Error(`unknown kind of fault: ${kind}`);
}

function loop(): void {
  for (let turns = 0; turns >= 0; turns = (turns + 1) & 0xffff);
}

function fill(): never {
  const kept: object[] = [];
  for (;;) kept.push({ at: kept.length, text: `filler ${kept.length}` });
}
