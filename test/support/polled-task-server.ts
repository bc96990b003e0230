/**
 * The messages of a server of 2026-07-28 with the tasks extension, whose tool `work` can only run as a task; run by itself it
 * serves them over stdio.
 *
 * Arguments of `work`: `polls` = polls until it has ended, `ask` = it asks for input, `ends` = status that it ends with.
 */
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Message } from './rpc.js';

const EXTENSION = 'io.modelcontextprotocol/tasks';
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const hints = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };
export const CAPABILITIES_OF_TASKS = { tools: {}, extensions: { [EXTENSION]: {} } };

interface Task {
  readonly arguments: Message;
  polls: number;
  inputResponses: unknown;
}

/** The server: its answers to requests, as `result` or `error`. */
export class PolledTaskServer {
  readonly #tasks = new Map<string, Task>();
  readonly cancelled: string[] = [];
  polls = 0;

  /** @returns null for a notification */
  answer({ id, method, params }: Message): { result: object } | { error: object } | null {
    if (id === undefined) return null;
    const takesTasks = params?._meta?.[CAPABILITIES]?.extensions?.[EXTENSION] !== undefined;
    const needed = {
      code: -32_021,
      message: 'needs tasks',
      data: { requiredCapabilities: { extensions: { [EXTENSION]: {} } } },
    };
    switch (method) {
      case 'server/discover':
        return { result: { ...hints, supportedVersions: ['2026-07-28'], capabilities: CAPABILITIES_OF_TASKS } };
      case 'tools/list':
        return {
          result: { ...hints, tools: ['work', 'heard'].map((name) => ({ name, inputSchema: { type: 'object' } })) },
        };
      case 'tools/call':
        if (params.name === 'heard') {
          const text = JSON.stringify({ cancelled: this.cancelled, polls: this.polls });
          return { result: { ...hints, content: [{ type: 'text', text }] } };
        }
        return takesTasks ? { result: this.#create(params.arguments) } : { error: needed };
      case 'tasks/get':
      case 'tasks/update':
      case 'tasks/cancel':
        if (!takesTasks) return { error: needed };
        return this.#about(method, params);
      default:
        return { error: { code: -32_601, message: 'Method not found' } };
    }
  }

  #create(args: Message): object {
    const taskId = `tä"sk-${this.#tasks.size + 1}`;
    this.#tasks.set(taskId, { arguments: args, polls: 0, inputResponses: null });
    return { resultType: 'task', ...this.#state(taskId, 'working') };
  }

  #about(method: string, { taskId, inputResponses }: Message): { result: object } | { error: object } {
    const task = this.#tasks.get(taskId);
    if (task === undefined) return { error: { code: -32_602, message: 'no such task' } };
    if (method === 'tasks/update') task.inputResponses = inputResponses;
    if (method === 'tasks/cancel') this.cancelled.push(taskId);
    if (method !== 'tasks/get') return { result: { resultType: 'complete' } };
    this.polls += 1;
    task.polls += 1;
    return { result: { resultType: 'complete', ...this.#now(taskId, task) } };
  }

  #now(taskId: string, { arguments: { polls = 1, ask, ends = 'completed' }, ...task }: Task): object {
    if (ask === true && task.inputResponses === null) {
      const requestedSchema = { type: 'object', properties: { more: { type: 'string' } } };
      const params = { mode: 'form', message: 'more?', requestedSchema };
      return {
        ...this.#state(taskId, 'input_required'),
        inputRequests: { q: { method: 'elicitation/create', params } },
      };
    }
    if (task.polls < polls) return this.#state(taskId, 'working');
    const text = JSON.stringify(task.inputResponses ?? 'done');
    const ended =
      ends === 'failed'
        ? { error: { code: -32_050, message: 'it broke', data: { part: 3 } } }
        : { result: { resultType: 'complete', content: [{ type: 'text', text }] } };
    return { ...this.#state(taskId, ends), ...ended };
  }

  #state(taskId: string, status: string): object {
    return { taskId, status, createdAt: 'x', lastUpdatedAt: 'x', ttlMs: null, pollIntervalMs: 60 };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = new PolledTaskServer();
  createInterface({ input: process.stdin }).on('line', (line) => {
    const message: Message = JSON.parse(line);
    const answer = server.answer(message);
    if (answer !== null) process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer })}\n`);
  });
}
