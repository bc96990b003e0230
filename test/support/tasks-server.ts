/**
 * A test server of 2025-11-25 whose tool runs as a task, on SDK v1 over stdio. The tool `work` finishes by itself after
 * `ms` milliseconds; its status changes are announced.
 */
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/index.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const server = new McpServer(
  { name: 'tasks-test-server', version: '1.0.0' },
  {
    capabilities: { tasks: { cancel: {}, requests: { tools: { call: {} } } } },
    taskStore: new InMemoryTaskStore(),
  },
);
server.experimental.tasks.registerToolTask(
  'work',
  {
    description: 'Works in the background',
    inputSchema: { text: z.string(), ms: z.number().default(50) },
    execution: { taskSupport: 'required' },
  },
  {
    createTask: async ({ text, ms }, { taskStore, taskRequestedTtl }) => {
      const task = await taskStore.createTask({ ttl: taskRequestedTtl ?? 60_000, pollInterval: 20 });
      setTimeout(() => {
        const result = { content: [{ type: 'text' as const, text: `worked on ${text}` }] };
        taskStore.storeTaskResult(task.taskId, 'completed', result).catch(() => {});
      }, ms);
      return { task };
    },
    getTask: async (_args, { taskId, taskStore }) => await taskStore.getTask(taskId),
    getTaskResult: async (_args, { taskId, taskStore }) =>
      (await taskStore.getTaskResult(taskId)) as { content: { type: 'text'; text: string }[] },
  },
);
await server.connect(new StdioServerTransport());
