/** The files that `switchyard init` writes. The parts in comments are valid, too. */
import type { ConfigFormat } from '../../config/load.js';

const JSON_STARTER = `// Switchyard configuration: many MCP servers behind one endpoint.
// Every key and its default: docs/configuration.md. Check this file with: switchyard validate FILE
// \${VAR} is replaced by the environment variable VAR, \${VAR:-default} by its default when it is not set.
{
  "host": "127.0.0.1",
  "port": 8000,

  // The servers, as in the files of desktop clients. Tools are offered as NAME__tool.
  "mcpServers": {
    // A program, reached over standard input and output. No shell is used: one argument an item.
    "memory": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-memory"]
      // Clients share one process; "auto" starts another one for a client that the server can ask (sampling,
      // elicitation, roots). "session" starts one for every client, "shared" never does.
      // , "isolation": "auto"
    }
    // A Streamable HTTP server. "enabled": false keeps an entry without using it.
    // , "search": {
    //   "url": "https://search.example.com/mcp",
    //   "auth": { "type": "bearer", "token": "\${SEARCH_TOKEN}" },
    //   "exclude": ["delete_*"]
    // }
  }

  // Who may use the gateway. Needed before "host" can be anything but loopback.
  // , "auth": {
  //   "type": "bearer",
  //   "tokens": { "alice": { "token": "\${ALICE_TOKEN}", "scopes": ["memory:write"] } }
  // }

  // Rules for calls; the first that matches counts.
  // , "routes": [
  //   { "match": { "tools": ["memory__delete_*"] }, "requiredScopes": ["memory:write"] }
  // ]

  // Calls a second on average, and at once.
  // , "rateLimits": { "perClient": { "rate": 50, "burst": 100 } }

  // Metrics, statistics and probes; false for none.
  // , "admin": { "port": 9090 }
}
`;

const YAML_STARTER = `# Switchyard configuration: many MCP servers behind one endpoint.
# Every key and its default: docs/configuration.md. Check this file with: switchyard validate FILE
# \${VAR} is replaced by the environment variable VAR, \${VAR:-default} by its default when it is not set.
host: 127.0.0.1
port: 8000

# The servers, as in the files of desktop clients. Tools are offered as NAME__tool.
mcpServers:
  # A program, reached over standard input and output. No shell is used: one argument an item.
  memory:
    command: npx
    args: [-y, "@modelcontextprotocol/server-memory"]
    # Clients share one process; "auto" starts another one for a client that the server can ask (sampling,
    # elicitation, roots). "session" starts one for every client, "shared" never does.
    # isolation: auto

  # A Streamable HTTP server. "enabled: false" keeps an entry without using it.
  # search:
  #   url: https://search.example.com/mcp
  #   auth: { type: bearer, token: "\${SEARCH_TOKEN}" }
  #   exclude: [delete_*]

# Who may use the gateway. Needed before "host" can be anything but loopback.
# auth:
#   type: bearer
#   tokens:
#     alice: { token: "\${ALICE_TOKEN}", scopes: [memory:write] }

# Rules for calls; the first that matches counts.
# routes:
#   - match: { tools: [memory__delete_*] }
#     requiredScopes: [memory:write]

# Calls a second on average, and at once.
# rateLimits:
#   perClient: { rate: 50, burst: 100 }

# Metrics, statistics and probes; false for none.
# admin: { port: 9090 }
`;

const TOML_STARTER = `# Switchyard configuration: many MCP servers behind one endpoint.
# Every key and its default: docs/configuration.md. Check this file with: switchyard validate FILE
# \${VAR} is replaced by the environment variable VAR, \${VAR:-default} by its default when it is not set.
host = "127.0.0.1"
port = 8000

# The servers, as in the files of desktop clients. Tools are offered as NAME__tool.
# A program, reached over standard input and output. No shell is used: one argument an item.
[mcpServers.memory]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-memory"]
# Clients share one process; "auto" starts another one for a client that the server can ask (sampling,
# elicitation, roots). "session" starts one for every client, "shared" never does.
# isolation = "auto"

# A Streamable HTTP server. "enabled = false" keeps an entry without using it.
# [mcpServers.search]
# url = "https://search.example.com/mcp"
# auth = { type = "bearer", token = "\${SEARCH_TOKEN}" }
# exclude = ["delete_*"]

# Who may use the gateway. Needed before "host" can be anything but loopback.
# [auth]
# type = "bearer"
# tokens = { alice = { token = "\${ALICE_TOKEN}", scopes = ["memory:write"] } }

# Rules for calls; the first that matches counts.
# [[routes]]
# match = { tools = ["memory__delete_*"] }
# requiredScopes = ["memory:write"]

# Calls a second on average, and at once.
# [rateLimits]
# perClient = { rate = 50, burst = 100 }

# Metrics, statistics and probes; false for none.
# [admin]
# port = 9090
`;

/** The commented starter configuration in a format. */
export function starterFile(format: ConfigFormat): string {
  if (format === 'yaml') return YAML_STARTER;
  return format === 'toml' ? TOML_STARTER : JSON_STARTER;
}
