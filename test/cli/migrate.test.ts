import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileWith, runHere } from './support.js';

const FILE = `{
  // What an editor adds stays behind.
  "inputs": [],
  "servers": {
    "search": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "search-server"],
      "env": { "KEY": "\${NOT_SET}", "TOKEN": "sk-file-secret" },
      "max_lanes": 3,
      "sandbox": true,
      "timeout": "\${SECONDS}"
    }
  }
}
`;

test('migrate prints keys as they are called here, variables and secrets as the file has them, comments where they belong', async (t) => {
  const { code, stdout, stderr } = await runHere(['migrate', await fileWith(t, 'mcp.json', FILE)]);
  assert.equal(code, 0, stderr);
  assert.equal(
    stdout,
    `# From "mcp.json"
mcpServers:
  # "maxLanes" is now called "maxDedicated"; the old name still works
  # sandbox: ignored: the child is not sandboxed by the gateway
  search:
    transport: stdio
    command: npx
    args: [-y, search-server]
    env:
      KEY: \${NOT_SET}
      TOKEN: sk-file-secret
    maxDedicated: 3
    timeout: \${SECONDS}
`,
  );
  assert.match(stderr, /^warning: .*mcp\.json:10:7: mcpServers\.search: "maxLanes" is now/);
  assert.doesNotMatch(stderr, /sk-file-secret/);
});

test('migrate tells the problems of a file that cannot be used, and prints nothing', async (t) => {
  const file = await fileWith(t, 'wrong.yaml', 'mcpServers: { a: { command: x, maxQueue: many, comand: y } }\n');
  const { code, stdout, stderr } = await runHere(['migrate', file]);
  assert.deepEqual([code, stdout], [78, '']);
  assert.match(stderr, /mcpServers\.a\.maxQueue: must be a number/);
  assert.match(stderr, /unknown key "comand"; did you mean "command"\?/);
});
