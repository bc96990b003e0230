// Lists and calls through the client of OpenAI's agent SDK.
import { MCPServerSSE, MCPServerStdio, MCPServerStreamableHttp } from '@openai/agents';

const { transport, url, command, args } = JSON.parse(process.env.TARGET);
const servers = {
  http: () => new MCPServerStreamableHttp({ url }),
  sse: () => new MCPServerSSE({ url }),
  stdio: () => new MCPServerStdio({ command, args }),
};
const server = servers[transport]();
await server.connect();
const tools = (await server.listTools()).map(({ name }) => name);
const content = await server.callTool('all__echo', { message: 'hello' });
console.log(JSON.stringify({ tools, text: content[0].text }));
await server.close();
process.exit(0);
