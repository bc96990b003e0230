/** What /stats and /metrics count: streams apart from requests, cancelled calls apart from failed ones, and both documents alike. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type RunningGateway, startGateway } from '../support/gateway.js';
import { eventually, freePort } from '../support/process.js';
import { rawUpstream } from '../support/raw-upstream.js';
import { modernRpc, openSession } from '../support/rpc.js';
import { connectV1 } from '../support/sdk-clients.js';

async function statsOf({ adminUrl }: RunningGateway) {
  // biome-ignore lint/suspicious/noExplicitAny: the document under test has many members
  return (await (await fetch(`${adminUrl}/stats`)).json()) as any;
}

/** The samples of one metric by their labels. */
async function metric({ adminUrl }: RunningGateway, name: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const samples = [...text.matchAll(new RegExp(`^switchyard_${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))];
  return Object.fromEntries(samples.map(([, labels = '', value]) => [labels.replaceAll('"', ''), Number(value)]));
}

/** The outcomes of a method in both documents, which must agree. */
async function outcomes(gateway: RunningGateway, method: string): Promise<Record<string, number>> {
  const { requests } = await statsOf(gateway);
  const samples = await metric(gateway, 'requests_total');
  const shown = requests.byMethod[method] ?? {};
  for (const [outcome, count] of Object.entries(shown)) {
    assert.equal(samples[`method=${method},outcome=${outcome}`], count, `${method} ${outcome}`);
  }
  return shown;
}

for (const frontEnd of ['uws', 'node'] as const) {
  describe(`statistics (${frontEnd})`, () => {
    it('of a polite client show no failure and no latency of its stream', async (scope) => {
      const upstream = await rawUpstream(scope, (_, answer) => answer.result({ content: [] }));
      const gateway = await startGateway(scope, { mcpServers: { one: { url: upstream.url } } }, { frontEnd });
      const client = await connectV1(scope, gateway.url);
      await client.listTools();
      await client.callTool({ name: 'one__call', arguments: {} });
      await eventually('its stream is open', async () => (await statsOf(gateway)).eventStreams.open === 1);
      await client.close();
      await eventually('its stream is closed', async () => (await statsOf(gateway)).eventStreams.open === 0);
      const { requests, eventStreams } = await statsOf(gateway);
      assert.deepEqual([requests.failed, requests.cancelled, requests.successRate], [0, 0, 1]);
      assert.deepEqual(requests.errors, {});
      assert.deepEqual([eventStreams.opened, eventStreams.closed], [1, { client: 1, gateway: 0 }]);
      assert.ok(eventStreams.bytes > 0);
      assert.deepEqual(await metric(gateway, 'streams_closed_total'), { 'by=client': 1, 'by=gateway': 0 });
      assert.deepEqual(await metric(gateway, 'streams_opened_total'), { '': 1 });
      assert.deepEqual(await metric(gateway, 'stream_bytes_total'), { '': eventStreams.bytes });
      assert.deepEqual(await outcomes(gateway, 'tools/call'), { ok: 1 });
      assert.deepEqual(await outcomes(gateway, 'tools/list'), { ok: 1 });
      const counted = Object.values(await metric(gateway, 'requests_total')).reduce((sum, count) => sum + count, 0);
      assert.equal(counted, requests.total);
      // Every duration is that of a request: the stream is none.
      assert.deepEqual(await metric(gateway, 'request_duration_seconds_count'), { '': requests.total });
    });

    it('of listen streams of the modern family are apart as well', async (scope) => {
      const upstream = await rawUpstream(scope, (_, answer) => answer.result({ content: [] }), { family: 'modern' });
      const gateway = await startGateway(scope, { mcpServers: { one: { url: upstream.url } } }, { frontEnd });
      const stop = new AbortController();
      const listen = {
        jsonrpc: '2.0',
        id: 1,
        method: 'subscriptions/listen',
        params: {
          notifications: { toolsListChanged: true },
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      };
      const response = await fetch(gateway.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'subscriptions/listen',
        },
        body: JSON.stringify(listen),
        signal: stop.signal,
      });
      assert.equal(response.status, 200);
      await eventually('an event', async () => (await statsOf(gateway)).eventStreams.events === 1);
      stop.abort();
      await eventually('closed', async () => (await statsOf(gateway)).eventStreams.closed.client === 1);
      const { requests } = await statsOf(gateway);
      assert.deepEqual([requests.failed, requests.cancelled], [0, 0]);
      assert.deepEqual(await outcomes(gateway, 'subscriptions/listen'), {});
    });

    it('of a cancelled call say cancelled, of a failed one failed, and count isError by tool', async (scope) => {
      const upstream = await rawUpstream(scope, (request, answer) => {
        const kind = request.message?.params?.arguments?.kind;
        if (kind === 'hang') return;
        if (kind === 'error')
          answer.json(
            JSON.stringify({ jsonrpc: '2.0', id: request.message.id, error: { code: -32_602, message: 'no' } }),
          );
        else answer.result({ content: [], isError: kind === 'isError' });
      });
      const gateway = await startGateway(scope, { mcpServers: { one: { url: upstream.url } } }, { frontEnd });
      const session = await openSession(gateway.url);
      const call = (kind: string) => session.request('tools/call', { name: 'one__call', arguments: { kind } });
      await call('fine');
      await call('isError');
      await call('isError');
      await call('error');
      const stop = new AbortController();
      const gone = fetch(gateway.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': 'one__call',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 9,
          method: 'tools/call',
          params: {
            name: 'one__call',
            arguments: { kind: 'hang' },
            _meta: {
              'io.modelcontextprotocol/protocolVersion': '2026-07-28',
              'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
              'io.modelcontextprotocol/clientCapabilities': {},
            },
          },
        }),
        signal: stop.signal,
      }).catch(() => {});
      await eventually('it hangs', () => upstream.received('tools/call').length === 5);
      stop.abort();
      await gone;
      await eventually('it is cancelled', async () => (await statsOf(gateway)).requests.cancelled === 1);
      const { requests, tools, upstreams } = await statsOf(gateway);
      assert.deepEqual(await outcomes(gateway, 'tools/call'), { ok: 3, failed: 1, cancelled: 1 });
      assert.deepEqual(requests.errors, { GW_UPSTREAM_ERROR: 1 });
      assert.deepEqual([tools[0].name, tools[0].calls, tools[0].errors, tools[0].errorResults], ['one__call', 4, 1, 2]);
      assert.deepEqual([upstreams[0].calls, upstreams[0].errors], [4, 1]);
      assert.deepEqual(await metric(gateway, 'tool_error_results_total'), { 'tool=one__call': 2 });
      assert.deepEqual(await metric(gateway, 'errors_total'), { 'code=GW_UPSTREAM_ERROR': 1 });
    });

    it('tell a 503 of the upstream from an upstream that never was and one that is gone', async (scope) => {
      const port = await freePort();
      const upstream = await rawUpstream(scope, (_, { response }) => void response.writeHead(503).end('later'));
      const never = `http://127.0.0.1:${port}/mcp`;
      const gateway = await startGateway(
        scope,
        { mcpServers: { one: { url: upstream.url }, never: { url: never } } },
        { frontEnd },
      );
      const errorOf = async (name: string) =>
        (await modernRpc(gateway.url, 'tools/call', { name, arguments: {} })).message.error;
      const answered = await errorOf('one__call');
      const before = await errorOf('never__any');
      await upstream.close();
      const after = await errorOf('one__call');
      const errors = [answered, before, after];
      assert.deepEqual(
        errors.map(({ data }) => data.code),
        ['GW_UPSTREAM_UNAVAILABLE', 'GW_UPSTREAM_NOT_CONNECTED', 'GW_UPSTREAM_UNREACHABLE'],
      );
      assert.match(answered.message, /^The upstream "one" answered with HTTP 502 or 503/);
      assert.match(before.message, /^The upstream "never" could not be connected .* Reason: .*ECONNREFUSED/);
      assert.match(after.message, /^The upstream "one" cannot be reached any more/);
    });
  });
}
