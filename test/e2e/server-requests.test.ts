/**
 * Servers that ask legacy clients back, through a running gateway, with the real SDKs at both ends: as requests
 * (servers before 2026-07-28) and as `input_required` (2026-07-28).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import * as V1 from '@modelcontextprotocol/sdk/types.js';
import { JOURNAL_VARIABLE, readJournal } from '../support/call-journal.js';
import { type RunningGateway, type StartGatewayOptions, startGateway } from '../support/gateway.js';
import { eventually, startProcess, type TestScope, tempFolder } from '../support/process.js';
import { modernRpc } from '../support/rpc.js';
import { connectV1, connectV2 } from '../support/sdk-clients.js';
import { shared } from '../support/shared.js';
import { sdkTransport, stdioTransport } from '../support/transports.js';
import { everythingHttp, everythingStdio } from '../support/upstreams.js';

const program = fileURLToPath(new URL('../support/dialogue-server.js', import.meta.url));

interface Asking {
  readonly entry: Record<string, unknown>;
  readonly pid: () => number;
  journal(name: string): string[];
}

/** A server that asks back. */
async function askingServer(
  scope: TestScope,
  family: 'legacy' | 'modern',
  transport: 'stdio' | 'http',
): Promise<Asking> {
  const file = `${await tempFolder(scope)}/calls.jsonl`;
  const journal = (name: string): string[] =>
    readJournal(file)
      .filter((entry) => entry.name === name)
      .map(({ event }) => event);
  const env = { [JOURNAL_VARIABLE]: file };
  const pid = (): number => readJournal(file).at(-1)!.pid;
  if (transport === 'stdio') {
    return { entry: { command: process.execPath, args: [program, family, 'stdio'], env }, pid, journal };
  }
  const running = startProcess(scope, process.execPath, [program, family, 'http'], { env });
  const [, url] = await running.waitForLine(/^listening on (\S+)/);
  return { entry: { url: url as string }, pid, journal };
}

async function gatewayOver(
  scope: TestScope,
  entry: Record<string, unknown>,
  more: object = {},
  options: StartGatewayOptions = {},
): Promise<RunningGateway> {
  const gateway = await startGateway(scope, { mcpServers: { peer: entry }, ...more }, options);
  await eventually('the upstream is listed', async () => {
    const { message } = await modernRpc(gateway.url, 'tools/list');
    return message.result.tools.length > 0;
  });
  return gateway;
}

type Params = Record<string, unknown>;
type Result = Record<string, unknown>;

/** What a client does when it is asked; the context is the SDK's own. */
interface Handlers {
  elicit?(params: Params, context: Context): Result | Promise<Result>;
  sample?(params: Params, context: Context): Result | Promise<Result>;
  roots?(): Result | Promise<Result>;
}

/** The part of both SDKs' handler contexts that the tests use. */
interface Context {
  readonly signal: AbortSignal;
  notify(notification: { method: string; params: object }): Promise<void>;
}

/** A client of either SDK that answers. */
interface Asked {
  call(name: string, args?: object, options?: { signal?: AbortSignal; timeout?: number }): Promise<Result>;
  prompt(name: string): Promise<Result>;
  read(uri: string): Promise<Result>;
  onComplete(heard: (elicitationId: string) => void): void;
  close(): Promise<void>;
}

const CAPABILITIES = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };

/** A legacy client of SDK v1 or v2 with handlers for what it is asked. */
async function askedClient(
  scope: TestScope,
  url: string,
  sdk: 'v1' | 'v2',
  handlers: Handlers,
  capabilities: Record<string, object> = CAPABILITIES,
): Promise<Asked> {
  if (sdk === 'v1') {
    const client = await connectV1(scope, url, { capabilities });
    const context = (extra: { signal: AbortSignal; sendNotification: (it: never) => Promise<void> }): Context => ({
      signal: extra.signal,
      notify: (notification) => extra.sendNotification(notification as never),
    });
    if (handlers.elicit) {
      client.setRequestHandler(
        V1.ElicitRequestSchema,
        async ({ params }, extra) => (await handlers.elicit!(params, context(extra))) as never,
      );
    }
    if (handlers.sample) {
      client.setRequestHandler(
        V1.CreateMessageRequestSchema,
        async ({ params }, extra) => (await handlers.sample!(params, context(extra))) as never,
      );
    }
    if (handlers.roots) {
      client.setRequestHandler(V1.ListRootsRequestSchema, async () => (await handlers.roots!()) as never);
    }
    return {
      call: (name, args = {}, options = {}) =>
        client.callTool({ name, arguments: args as Params }, undefined, options) as Promise<Result>,
      prompt: (name) => client.getPrompt({ name }) as Promise<Result>,
      read: (uri) => client.readResource({ uri }) as Promise<Result>,
      onComplete: (heard) =>
        client.setNotificationHandler(V1.ElicitationCompleteNotificationSchema, ({ params }) =>
          heard(params.elicitationId),
        ),
      close: () => client.close(),
    };
  }
  const client = await connectV2(scope, url, 'legacy', { capabilities });
  type ContextV2 = { mcpReq: { signal: AbortSignal; notify: (it: never) => Promise<void> } };
  const context = ({ mcpReq }: ContextV2): Context => ({
    signal: mcpReq.signal,
    notify: (notification) => mcpReq.notify(notification as never),
  });
  if (handlers.elicit) {
    client.setRequestHandler(
      'elicitation/create',
      async ({ params }, ctx) => (await handlers.elicit!(params as Params, context(ctx as ContextV2))) as never,
    );
  }
  if (handlers.sample) {
    client.setRequestHandler(
      'sampling/createMessage',
      async ({ params }, ctx) => (await handlers.sample!(params as Params, context(ctx as ContextV2))) as never,
    );
  }
  if (handlers.roots) client.setRequestHandler('roots/list', async () => (await handlers.roots!()) as never);
  return {
    call: (name, args = {}, options = {}) =>
      client.callTool({ name, arguments: args as Params }, options) as Promise<Result>,
    prompt: (name) => client.getPrompt({ name }) as Promise<Result>,
    read: (uri) => client.readResource({ uri }) as Promise<Result>,
    onComplete: (heard) =>
      client.setNotificationHandler('notifications/elicitation/complete', ({ params }) => heard(params.elicitationId)),
    close: () => client.close(),
  };
}

/** Handlers whose answers name the client and repeat the question. */
const repeating = (who: string): Handlers => ({
  elicit: ({ message }) => ({ action: 'accept', content: { answer: `${who} on ${message}` } }),
  sample: ({ messages }) => {
    const [{ content }] = messages as [{ content: { text: string } }];
    const said = { type: 'text', text: `${who} after ${content.text}` };
    return { role: 'assistant', model: 'm', content: said };
  },
  roots: () => ({ roots: [{ uri: `file:///${who}` }] }),
});

const textOf = (result: Result): string => (result['content'] as { text: string }[])[0]!.text;

interface Kind {
  readonly name: string;
  readonly family: 'legacy' | 'modern';
  start(scope: TestScope): Promise<Asking>;
}

const kinds: readonly Kind[] = [
  { name: 'legacy HTTP', family: 'legacy', start: (scope) => askingServer(scope, 'legacy', 'http') },
  {
    name: 'legacy stdio with a child a session',
    family: 'legacy',
    start: async (scope) => {
      const server = await askingServer(scope, 'legacy', 'stdio');
      return { ...server, entry: { ...server.entry, isolation: 'session' } };
    },
  },
  { name: 'modern HTTP', family: 'modern', start: (scope) => askingServer(scope, 'modern', 'http') },
  { name: 'modern stdio', family: 'modern', start: (scope) => askingServer(scope, 'modern', 'stdio') },
];

/** A gateway before the server of a kind: the same one for all tests that do not stop it. */
const gatewayBefore = shared(async (scope, kind: Kind['name']) => {
  const server = await kinds.find(({ name }) => name === kind)!.start(scope);
  return gatewayOver(scope, { ...server.entry, maxDedicated: 100 });
});

for (const kind of kinds) {
  describe(`a ${kind.name} server`, () => {
    it('asks clients of both SDKs by form, for completions and for roots', async (scope) => {
      const gateway = await gatewayOver(scope, (await kind.start(scope)).entry);
      for (const sdk of ['v1', 'v2'] as const) {
        const client = await askedClient(scope, gateway.url, sdk, repeating(sdk));
        assert.equal(textOf(await client.call('peer__confirm', { question: 'größe?' })), `${sdk} on größe?`);
        assert.equal(textOf(await client.call('peer__sample', { prompt: 'p' })), `${sdk} after p`);
        assert.equal(textOf(await client.call('peer__roots')), `file:///${sdk}`);
        assert.equal(
          textOf(await client.call('peer__several', { tag: 't' })),
          `${sdk} on t|${sdk} after t|file:///${sdk}`,
        );
        assert.equal(
          textOf(await client.call('peer__confirm', { question: 'q', steps: 4 })),
          [1, 2, 3, 4].map((step) => `${sdk} on q ${step}`).join(),
        );
      }
      assert.equal(await gateway.stop(), 0, gateway.output);
    });

    it('sends the user to a URL', async (scope) => {
      const gateway = await gatewayBefore(kind.name);
      const visited: Params[] = [];
      const client = await askedClient(scope, gateway.url, 'v1', {
        elicit: (params) => {
          visited.push(params);
          return { action: 'accept' };
        },
      });
      const completed: string[] = [];
      client.onComplete((id) => completed.push(id));
      assert.equal(textOf(await client.call('peer__visit')), 'accepted');
      assert.equal(visited[0]!['url'], 'https://visit.example/');
      assert.match(String(visited[0]!['elicitationId']), /^[0-9a-f-]{36}$/);
      if (kind.family === 'modern') return;
      await eventually('it hears of the end', () => completed.length === 1);
      assert.deepEqual(completed, [visited[0]!['elicitationId']]);
    });

    it('hears of a client that refuses', async (scope) => {
      const gateway = await gatewayBefore(kind.name);
      const client = await askedClient(scope, gateway.url, 'v1', {
        elicit: () => ({ action: 'decline' }),
        sample: () => {
          throw new Error('not with me');
        },
      });
      assert.equal(textOf(await client.call('peer__confirm', { question: 'q' })), 'decline');
      const refused = await client.call('peer__sample', { prompt: 'p' });
      assert.equal(refused['isError'], true);
      assert.match(textOf(refused), /not with me/);
    });

    it('cannot ask a client that has not said what it can be asked for', async (scope) => {
      const gateway = await gatewayBefore(kind.name);
      const handlers = repeating('x');
      const some = await askedClient(scope, gateway.url, 'v1', { roots: handlers.roots! }, { roots: {} });
      assert.equal(textOf(await some.call('peer__roots')), 'file:///x');
      const refused = await some.call('peer__confirm', { question: 'q' });
      assert.equal(refused['isError'], true, JSON.stringify(refused));
      const none = await askedClient(scope, gateway.url, 'v2', {}, {});
      assert.equal((await none.call('peer__roots'))['isError'], true);
    });

    it('gets each answer of a hundred sessions at once from the one it asked', async (scope) => {
      const gateway = await gatewayBefore(kind.name);
      const clients = await Promise.all(
        Array.from({ length: kind.name.includes('child') ? 12 : 100 }, async (_, number) => {
          const who = `c${number}`;
          const sdk = number % 2 === 0 ? 'v1' : 'v2';
          const late = async (value: Result | Promise<Result>): Promise<Result> => {
            await new Promise((resolve) => setTimeout(resolve, (number * 37) % 50));
            return value;
          };
          const { elicit, sample, roots } = repeating(who);
          return {
            who,
            client: await askedClient(scope, gateway.url, sdk, {
              elicit: (params, context) => late(elicit!(params, context)),
              sample: (params, context) => late(sample!(params, context)),
              roots: () => late(roots!()),
            }),
          };
        }),
      );
      await Promise.all(
        clients.map(async ({ who, client }) => {
          const answers = await Promise.all([
            client.call('peer__confirm', { question: who, steps: 2 }),
            client.call('peer__sample', { prompt: who }),
            client.call('peer__several', { tag: who }),
          ]);
          assert.deepEqual(answers.map(textOf), [
            `${who} on ${who} 1,${who} on ${who} 2`,
            `${who} after ${who}`,
            `${who} on ${who}|${who} after ${who}|file:///${who}`,
          ]);
        }),
      );
    });
  });
}

const openServers: readonly { name: string; start(scope: TestScope): Promise<Record<string, unknown>> }[] = [
  { name: 'over stdio', start: async () => ({ ...everythingStdio(), isolation: 'session' }) },
  { name: 'over HTTP', start: async (scope) => ({ url: (await everythingHttp(scope)).url, isolation: 'session' }) },
];

describe('the reference server', () => {
  for (const { name, start } of openServers) {
    it(`${name} asks SDK clients for completions and by form`, async (scope) => {
      const gateway = await gatewayOver(scope, await start(scope));
      for (const sdk of ['v1', 'v2'] as const) {
        const client = await askedClient(scope, gateway.url, sdk, {
          ...repeating(sdk),
          elicit: () => ({ action: 'accept', content: { name: `${sdk} person`, check: true } }),
        });
        const sampled = await client.call('peer__trigger-sampling-request', { prompt: 'go', maxTokens: 5 });
        assert.match(textOf(sampled), new RegExp(`${sdk} after Resource trigger-sampling-request context: go`));
        const elicited = await client.call('peer__trigger-elicitation-request');
        assert.match(JSON.stringify(elicited), new RegExp(`${sdk} person`));
      }
    });
  }
});

describe('a client of another transport', () => {
  const transports = ['websocket', 'sse', 'stdio'] as const;
  for (const kind of kinds) {
    it(`is asked by a ${kind.name} server`, async (scope) => {
      const gateway = await gatewayBefore(kind.name);
      for (const transport of transports) {
        const client = new Client({ name: transport, version: '1' }, { capabilities: CAPABILITIES });
        scope.after(() => client.close());
        client.setRequestHandler(V1.ElicitRequestSchema, ({ params }) => ({
          action: 'accept',
          content: { answer: `${transport} on ${params.message}` },
        }));
        client.setRequestHandler(V1.ListRootsRequestSchema, () => ({ roots: [{ uri: `file:///${transport}` }] }));
        await client.connect(
          transport === 'stdio' ? stdioTransport(gateway.configFile) : sdkTransport[transport](gateway.origin),
        );
        await eventually(`${transport}: the tools`, async () => (await client.listTools()).tools.length > 0);
        const call = async (name: string, args: object) =>
          textOf((await client.callTool({ name, arguments: args as Params })) as Result);
        assert.equal(
          await call('peer__confirm', { question: 'q', steps: 2 }),
          `${transport} on q 1,${transport} on q 2`,
        );
        assert.equal(await call('peer__roots', {}), `file:///${transport}`);
      }
    });
  }

  for (const kind of kinds) {
    it(`and leaves while a ${kind.name} server waits for it, is waited for no longer`, async () => {
      const gateway = await gatewayBefore(kind.name);
      const open = async (): Promise<number> => {
        const stats = (await (await fetch(`${gateway.adminUrl}/stats`)).json()) as {
          serverRequests: { open: number };
          requests: { inFlight: number };
        };
        return stats.serverRequests.open + stats.requests.inFlight;
      };
      for (const transport of ['websocket', 'sse'] as const) {
        const client = new Client({ name: transport, version: '1' }, { capabilities: CAPABILITIES });
        let asked = 0;
        client.setRequestHandler(V1.ElicitRequestSchema, () => {
          asked += 1;
          return new Promise<never>(() => {});
        });
        await client.connect(sdkTransport[transport](gateway.origin));
        await eventually('the tools', async () => (await client.listTools()).tools.length > 0);
        const call = client.callTool({ name: 'peer__confirm', arguments: { question: 'q' } });
        call.catch(() => {});
        await eventually('it is asked', () => asked === 1);
        assert.notEqual(await open(), 0);
        await client.close();
        await eventually('nothing is left of it', async () => (await open()) === 0);
      }
    });
  }
});
