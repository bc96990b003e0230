/** The thread side of the control pool. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { TASKS, type TaskName, transferables } from './tasks.js';

/** The message to the thread. */
export interface ControlTask {
  readonly task: TaskName;
  readonly data: unknown;
}

/** Runs one task and transfers the memory of its result ({@link transferables}). */
export default async function run({ task, data }: ControlTask): Promise<unknown> {
  const work = TASKS[task] as (data: unknown) => unknown;
  const result = await work(data);
  const memory = transferables(task, result);
  if (memory.length === 0) return result;
  return move({ [transferableSymbol]: memory, [valueSymbol]: result } as never);
}
