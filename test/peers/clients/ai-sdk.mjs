// Lists and calls through the client of Vercel's AI SDK.
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as StdioTransport } from '@ai-sdk/mcp/mcp-stdio';

const { transport, url, command, args } = JSON.parse(process.env.TARGET);
const client = await createMCPClient({
  transport: transport === 'stdio' ? new StdioTransport({ command, args }) : { type: transport, url },
});
const tools = await client.tools();
const { content } = await tools.all__echo.execute({ message: 'hello' }, { toolCallId: '1', messages: [] });
console.log(JSON.stringify({ tools: Object.keys(tools), text: content[0].text }));
await client.close();
process.exit(0);
