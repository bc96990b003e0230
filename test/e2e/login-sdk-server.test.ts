/** A server of the SDK with its OAuth router, as its documentation shows it. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { Browser } from '../support/browser.js';
import { startGateway } from '../support/gateway.js';
import { eventually, type TestScope } from '../support/process.js';
import { connectV1 } from '../support/sdk-clients.js';

async function startSdkServer(t: TestScope): Promise<string> {
  // It parses JSON bodies.
  const app = createMcpExpressApp();
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = new URL(`${origin}/mcp`);
  const provider = new DemoInMemoryAuthProvider((resource) => resource?.href === url.href);
  app.use(
    mcpAuthRouter({ provider, issuerUrl: new URL(origin), resourceServerUrl: url, scopesSupported: ['mcp:tools'] }),
  );
  const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url);
  const guard = requireBearerAuth({ verifier: provider, requiredScopes: ['mcp:tools'], resourceMetadataUrl });
  app.post('/mcp', guard, async (request: IncomingMessage & { body?: unknown }, response: ServerResponse) => {
    const mcp = new McpServer({ name: 'guarded', version: '1.0.0' });
    mcp.registerTool('whoami', {}, (extra) => ({
      content: [{ type: 'text', text: (extra.authInfo?.scopes ?? []).join(' ') }],
    }));
    const transport = new StreamableHTTPServerTransport({});
    await mcp.connect(transport as Transport);
    await transport.handleRequest(request, response, request.body);
  });
  app.all('/mcp', (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(405).end());
  return url.href;
}

test('a user logs in at a server of the SDK, and its tool is called', async (t) => {
  const url = await startSdkServer(t);
  // As client files have it.
  const gateway = await startGateway(t, { mcpServers: { guarded: { type: 'http', url, oauth: {} } } });
  const link = await eventually(
    'a link',
    () => /http:\S+\/oauth\/login\?ticket=[\w-]+/.exec(gateway.output)?.[0] ?? null,
  );
  const page = await new Browser().logIn(link);
  assert.equal(page.status, 200, page.text);
  const client = await connectV1(t, gateway.url);
  await eventually('its tools', async () => (await client.listTools()).tools.length > 0, 15_000);
  const result = await client.callTool({ name: 'guarded__whoami' });
  assert.deepEqual(result.content, [{ type: 'text', text: 'mcp:tools' }]);
});
