import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoder } from '../../native/index.js';
import { ScanStatus } from '../../native/layout.js';
import { Era, MODERN, Revision } from '../../src/protocol/revisions.js';
import { Accepts, type Exchange, Phase } from '../../src/request/exchange/index.js';
import { ExchangeTable } from '../../src/request/exchange/table.js';
import { SessionSealer } from '../../src/session/seal.js';
import { type Session, SessionTable } from '../../src/session/sessions.js';
import { LongLivedStreams } from '../../src/session/streams/long-lived.js';
import { Verdict } from '../../src/shared/ring/records.js';
import { Subscriptions } from '../../src/subscriptions/index.js';
import { ControlError } from '../../src/upstream/core/control.js';
import type { ClientIdentity } from '../../src/upstream/core/types.js';
import { RecordingReply } from '../support/recording-reply.js';

/** A server that confirms when the test does. */
class SlowServer {
  readonly name = 'server';
  readonly watches: { id: string; client: ClientIdentity; confirm(): void; refuse(code: number): void }[] = [];
  readonly following: string[] = [];

  announces(): boolean {
    return true;
  }

  watch(_kind: string, id: string, client: ClientIdentity): Promise<void> {
    return new Promise((resolve, reject) => {
      this.watches.push({
        id,
        client,
        confirm: () => {
          this.following.push(id);
          resolve();
        },
        refuse: (code) => reject(new ControlError('rpc', 'refused', code)),
      });
    });
  }

  unwatch(_kind: string, id: string): void {
    const index = this.following.indexOf(id);
    assert.notEqual(index, -1, 'only what was confirmed is taken back');
    this.following.splice(index, 1);
  }
}

function fixture(maxSubscriptions = 10) {
  const table = new ExchangeTable(100);
  const sessions = new SessionTable({
    sealer: new SessionSealer(['a secret that is long enough to be one']),
    ttlSeconds: 60,
    maxSessions: 100,
  });
  const longLived = new LongLivedStreams({ current: { limits: { maxStreams: 3 } } });
  let server = new SlowServer();
  const delivered: [Session, string][] = [];
  const access: ((server: number) => void)[] = [];
  const answers = new Map<number, unknown>();
  const end = (exchange: Exchange, answer: unknown): void => {
    answers.set(Number(Buffer.from(exchange.client.id.subarray(0, exchange.client.idLength)).toString()), answer);
    table.release(exchange);
  };
  const subscriptions = new Subscriptions({
    config: { current: { limits: { maxSubscriptions, maxClientBufferBytes: 1000 } } },
    longLived: longLived,
    upstreams: {
      get servers() {
        return [server];
      },
    },
    sessions: { forEach: () => {} },
    access: {
      serverOf: () => new Promise((resolve) => access.push(resolve)),
      whenPermitted: (_asker, _uri, then) => then(),
      whenTaskPermitted: (_asker, _address, then) => then(),
    },
    catalog: { isListed: () => false, listedAs: (uri) => uri },
    tasks: { taskOf: (handle) => (handle === 'sealed' ? { server: 0, id: 'task-1', tool: 'work' } : null) },
    streams: {
      notify: (session, message) => void delivered.push([session, Buffer.from(message).toString()]),
      broadcast: () => {},
    },
    write: {
      head: (_exchange, head) => head,
      result: (exchange, result) => end(exchange, JSON.parse(Buffer.from(result).toString())),
      refuse: end,
      complete: (exchange) => longLived.release(exchange),
    },
    table,
    identity: { serverInfo: Buffer.from('"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gw"}}') },
    log: { fault: (error) => assert.fail(String(error)) },
  });
  let lastId = 0;
  const request = (method: string, params: object, session: Session | null): { id: number; reply: RecordingReply } => {
    lastId += 1;
    const exchange = table.acquire()!;
    const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: lastId, method, params }));
    assert.equal(decoder.scan(bytes, bytes.length, exchange.message.spans.words, 64), ScanStatus.ok);
    assert.ok(exchange.message.spans.method > 0);
    const reply = new RecordingReply();
    exchange.client.reply = reply;
    exchange.client.accepts = Accepts.json | Accepts.sse;
    exchange.client.session = session;
    exchange.client.era = session === null ? Era.modern : Era.legacy;
    exchange.client.revision = session === null ? MODERN : session.revision;
    exchange.client.idLength = exchange.client.id.write(String(lastId));
    exchange.verdict.kind = Verdict.local;
    exchange.verdict.server = 0;
    if (session === null) subscriptions.listen(exchange, bytes);
    else subscriptions.subscribe(exchange, bytes);
    return { id: lastId, reply };
  };
  const update = (uri: string): void => {
    const bytes = Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }),
    );
    subscriptions.resourceUpdated(0, uri, bytes, bytes.length, null);
  };
  return {
    table,
    longLived,
    subscriptions,
    delivered,
    access,
    update,
    get server() {
      return server;
    },
    replaceServer() {
      server = new SlowServer();
      subscriptions.serverReplaced(0);
    },
    session: () => sessions.create(Revision.r2025_11_25, Buffer.from('{}'), Buffer.alloc(0), new Int32Array(4))!,
    subscribe: (session: Session, uri: string) => request('resources/subscribe', { uri }, session).id,
    unsubscribe: (session: Session, uri: string) => request('resources/unsubscribe', { uri }, session).id,
    listen: (notifications: object) => request('subscriptions/listen', { notifications }, null).reply,
    answer: (id: number) => answers.get(id),
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const messages = ({ text }: RecordingReply): { method?: string; params?: Record<string, unknown>; result?: object }[] =>
  text.split('\n\n').flatMap((event) => (event === '' ? [] : [JSON.parse(event.slice(event.indexOf('{')))]));

test('a subscription is answered once the upstream has confirmed, also concurrent requests for it', async () => {
  const { server, session, subscribe, answer, update, delivered, table } = fixture();
  const mine = session();
  const ids = [subscribe(mine, 'u:a'), subscribe(mine, 'u:a')];
  assert.equal(server.watches.length, 1);
  await settled();
  assert.deepEqual(ids.map(answer), [undefined, undefined]);
  update('u:a');
  assert.equal(delivered.length, 0);
  server.watches[0]!.confirm();
  await settled();
  assert.deepEqual(ids.map(answer), [{}, {}]);
  update('u:a/part');
  assert.deepEqual(
    delivered.map(([who]) => who),
    [mine],
  );
  assert.equal(table.inUse, 0);
});

test('a subscription that ends before the confirmation is unwatched, and can be repeated', async () => {
  const { server, session, subscribe, unsubscribe, answer, update, delivered, subscriptions } = fixture();
  const mine = session();
  const first = subscribe(mine, 'u:a');
  assert.deepEqual(answer(unsubscribe(mine, 'u:a')), {});
  const second = subscribe(mine, 'u:a');
  server.watches[0]!.confirm();
  await settled();
  update('u:a');
  assert.equal(delivered.length, 0);
  assert.deepEqual(server.following, []);
  server.watches[1]!.confirm();
  await settled();
  assert.deepEqual([answer(first), answer(second)], [{}, {}]);
  assert.deepEqual(server.following, ['u:a']);
  unsubscribe(mine, 'u:a');
  assert.deepEqual(server.following, []);
  assert.equal(subscriptions.sessions, 0);
});

test('a refusal leaves nothing behind, whatever happened meanwhile', async () => {
  const { server, session, subscribe, unsubscribe, answer, subscriptions } = fixture();
  const mine = session();
  const rows: [number, string][] = [
    [-32601, 'GW_METHOD_NOT_FOUND'],
    [-32002, 'GW_UNKNOWN_RESOURCE'],
    [-32000, 'GW_UPSTREAM_PROTOCOL'],
  ];
  for (const [code, expected] of rows) {
    const id = subscribe(mine, 'u:a');
    server.watches.at(-1)!.refuse(code);
    await settled();
    assert.equal(answer(id), expected);
    assert.equal(subscriptions.sessions, 0);
  }
  const early = subscribe(mine, 'u:a');
  unsubscribe(mine, 'u:a');
  const late = subscribe(mine, 'u:a');
  server.watches.at(-2)!.refuse(-32601);
  server.watches.at(-1)!.confirm();
  await settled();
  assert.deepEqual([answer(early), answer(late)], ['GW_METHOD_NOT_FOUND', {}]);
  assert.equal(subscriptions.sessions, 1);
});

test('the end of a session ends subscriptions that are confirmed, and those confirmed later', async () => {
  const { server, session, subscribe, subscriptions } = fixture();
  const mine = session();
  subscribe(mine, 'u:a');
  subscribe(mine, 'u:b');
  server.watches[0]!.confirm();
  await settled();
  subscriptions.sessionEnded(mine.id);
  assert.deepEqual(server.following, []);
  server.watches[1]!.confirm();
  await settled();
  assert.deepEqual(server.following, []);
  assert.equal(subscriptions.sessions, 0);
  subscriptions.sessionEnded(mine.id);
});

test('a disconnected client gets no response, and its slot in the table is not touched again', async () => {
  const { server, session, subscribe, table, answer } = fixture();
  const id = subscribe(session(), 'u:a');
  table.forEach((each) => {
    assert.equal(each.phase, Phase.sending);
    table.release(each);
  });
  const other = table.acquire()!;
  server.watches[0]!.confirm();
  await settled();
  assert.equal(answer(id), undefined);
  assert.equal(other.phase, Phase.accepting);
});

test('a listen is acknowledged when all its subscriptions are settled; earlier notifications come after it', async () => {
  const { server, access, listen, subscriptions, update, longLived } = fixture();
  const reply = listen({
    toolsListChanged: true,
    resourceSubscriptions: ['u:a', 'u:b', 'u:a'],
    taskIds: ['sealed', 'other'],
  });
  assert.equal(access.length, 2);
  for (const allow of access) allow(0);
  await settled();
  server.watches[0]!.confirm();
  await settled();
  update('u:a');
  subscriptions.listsChanged({ tools: true, prompts: true, resources: false });
  assert.equal(reply.text, '');
  server.watches[1]!.refuse(-32602);
  await settled();
  assert.equal(server.watches[2]!.id, 'task-1');
  server.watches[2]!.confirm();
  await settled();
  assert.deepEqual(
    messages(reply).map(({ method }) => method),
    ['notifications/subscriptions/acknowledged', 'notifications/resources/updated', 'notifications/tools/list_changed'],
  );
  assert.deepEqual(messages(reply)[0]!.params!['notifications'], {
    toolsListChanged: true,
    resourceSubscriptions: ['u:a'],
    taskIds: ['sealed'],
  });

  const task = Buffer.from('{"method":"notifications/tasks","params":{"taskId":"task-1","status":"working"}}');
  subscriptions.taskChanged(0, 'task-1', task, task.length);
  subscriptions.taskChanged(0, 'task-2', task, task.length);
  assert.equal(messages(reply).length, 4);
  assert.equal(messages(reply)[3]!.params!['taskId'], 'sealed');
  subscriptions.endListens();
  assert.ok(reply.ended);
  assert.equal(messages(reply)[4]!.result !== undefined, true);
  assert.deepEqual(server.following, []);
  assert.equal(longLived.size, 0);
});

test('a listen whose client disconnects during its preparation has no subscriptions', async () => {
  const { server, access, listen, subscriptions, longLived } = fixture();
  const reply = listen({ resourceSubscriptions: ['u:a', 'u:b'] });
  access[0]!(0);
  await settled();
  assert.ok(subscriptions.disconnected(reply.owner!));
  assert.equal(subscriptions.disconnected(reply.owner!), false);
  longLived.release(reply.owner!);
  server.watches[0]!.confirm();
  access[1]!(0);
  await settled();
  assert.deepEqual(server.following, []);
  assert.equal(server.watches.length, 1);
  assert.equal(reply.text, '');
  assert.equal(subscriptions.listens, 0);
});

test('subscriptions at a replaced server are made at its replacement', async () => {
  const prepared = fixture();
  const { access, listen, session, subscribe, update, delivered, replaceServer } = prepared;
  const mine = session();
  subscribe(mine, 'u:a');
  const [kept, ending] = [listen({ resourceSubscriptions: ['u:a'] }), listen({ resourceSubscriptions: ['u:b'] })];
  for (const allow of access) allow(0);
  await settled();
  for (const { confirm } of prepared.server.watches) confirm();
  await settled();
  replaceServer();
  const { server } = prepared;
  assert.deepEqual(
    server.watches.map(({ id }) => id),
    ['u:a', 'u:a', 'u:b'],
  );
  server.watches[0]!.confirm();
  server.watches[1]!.confirm();
  server.watches[2]!.refuse(-32601);
  await settled();
  update('u:a');
  assert.equal(delivered.length, 1);
  assert.equal(messages(kept).length, 2);
  assert.ok(ending.ended, 'a promise that cannot be kept is taken back');
  assert.ok(!kept.ended);
  assert.deepEqual(server.following, ['u:a', 'u:a']);
});
