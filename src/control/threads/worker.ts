/** The thread side of the control pool. */
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { TASKS, type TaskName, transferables } from './tasks.js';

/** What is sent to the thread. */
export interface ControlTask {
  readonly task: TaskName;
  readonly data: unknown;
}

/** Runs one task; the memory of its result moves to the caller where the task says so. */
export default async function run({ task, data }: ControlTask): Promise<unknown> {
  const work = TASKS[task] as (data: unknown) => unknown;
  const result = await work(data);
  const memory = transferables(task, result);
  if (memory.length === 0) return result;
  return move({ [transferableSymbol]: memory, [valueSymbol]: result } as never);
}
