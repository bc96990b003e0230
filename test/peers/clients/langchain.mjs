// Lists and calls through LangChain's adapters.
import { MultiServerMCPClient } from '@langchain/mcp-adapters';

const { transport, url, command, args } = JSON.parse(process.env.TARGET);
const client = new MultiServerMCPClient({
  mcpServers: { gateway: transport === 'stdio' ? { transport, command, args } : { transport, url } },
});
const tools = await client.getTools();
const echo = tools.find(({ name }) => name === 'all__echo');
console.log(JSON.stringify({ tools: tools.map(({ name }) => name), text: await echo.invoke({ message: 'hello' }) }));
await client.close();
process.exit(0);
