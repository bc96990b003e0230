/**
 * The answers of the benchmarks' upstreams: a complete small MCP server (initialize, discover, ping, tools)
 * whose tools all echo `arguments.text`. It does as little as a correct server can, so that the figures
 * are those of the relay.
 */

/** Which protocol families the server speaks: initialize-based revisions, 2026-07-28, or both. */
export type Era = 'legacy' | 'modern' | 'both';

export interface AnswerOptions {
  readonly era: Era;
  /** Tools offered: `echo` and `tool_00001`, `tool_00002`, ...; all of them echo. At least 1. */
  readonly tools: number;
  /** Bytes of text in each result besides the echo; default 0 = none. */
  readonly padding?: number;
}

interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: {
    readonly name?: string;
    readonly arguments?: { readonly text?: string };
    readonly protocolVersion?: string;
    readonly cursor?: string;
    readonly _meta?: Record<string, unknown>;
  };
}

const LEGACY_REVISIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];
const MODERN_REVISION = '2026-07-28';
const CLAIM = 'io.modelcontextprotocol/protocolVersion';
/**
 * A legacy call in the spelling that nearly all clients and relays use: answered without building objects. Whatever
 * differs in a byte is parsed.
 */
const USUAL_CALL =
  /^\{"jsonrpc":"2\.0","id":(\d{1,15}|"[^"\\]*"),"method":"tools\/call","params":\{"name":"([^"\\]*)","arguments":\{"text":("[^"\\]*")\}\}\}$/;
/** Tools on one page of tools/list. */
const PAGE = 1000;

const SERVER_INFO = '{"name":"bench-upstream","version":"1.0.0"}';
const MODERN_META = `"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":${SERVER_INFO}}`;
const CACHE_HINTS = '"ttlMs":60000,"cacheScope":"public"';

function renderTool(index: number): string {
  const name = index === 0 ? 'echo' : `tool_${String(index).padStart(5, '0')}`;
  return JSON.stringify({
    name,
    description: 'Returns its text.',
    inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
    annotations: { readOnlyHint: true },
  });
}

/**
 * Composes the answering function.
 *
 * @returns a function from one JSON-RPC message in text form to the response text, or `undefined` for notifications
 *   and responses, which are not answered
 */
export function createAnswers(options: AnswerOptions): (text: string) => string | undefined {
  const { era } = options;
  const count = Math.max(1, options.tools);
  const pages: string[] = [];
  for (let start = 0; start < count; start += PAGE) {
    const end = Math.min(start + PAGE, count);
    const tools = Array.from({ length: end - start }, (_, offset) => renderTool(start + offset)).join(',');
    pages.push(`"tools":[${tools}]${end < count ? `,"nextCursor":"${pages.length + 1}"` : ''}`);
  }

  const padding = options.padding ? `,{"type":"text","text":"${'lorem ipsum '.repeat(options.padding / 12)}"}` : '';

  const known = (name: string | undefined): boolean => {
    if (name === 'echo') return true;
    if (name === undefined || !/^tool_\d{5}$/.test(name)) return false;
    const index = Number(name.slice(5));
    return index > 0 && index < count;
  };

  return (text) => {
    const usual = USUAL_CALL.exec(text);
    if (usual !== null && era !== 'modern' && known(usual[2])) {
      return `{"jsonrpc":"2.0","id":${usual[1]},"result":{"content":[{"type":"text","text":${usual[3]}}${padding}]}}`;
    }
    let message: Message;
    try {
      message = JSON.parse(text) as Message;
    } catch {
      return '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}';
    }
    const { method, params } = message;
    if (message.id === undefined || method === undefined) return undefined;
    const id = typeof message.id === 'number' ? String(message.id) : JSON.stringify(message.id);
    const result = (members: string) => `{"jsonrpc":"2.0","id":${id},"result":{${members}}}`;
    const failure = (code: number, sentence: string) =>
      `{"jsonrpc":"2.0","id":${id},"error":{"code":${code},"message":"${sentence}"}}`;

    const modern = params?._meta !== undefined && params._meta[CLAIM] === MODERN_REVISION;
    if (modern ? era === 'legacy' : era === 'modern' && method !== 'ping') {
      return failure(modern ? -32601 : -32022, modern ? 'Method not found' : 'Unsupported protocol version');
    }
    switch (method) {
      case 'tools/call': {
        if (!known(params?.name)) return failure(-32602, 'Unknown tool');
        const content = `"content":[{"type":"text","text":${JSON.stringify(params?.arguments?.text ?? '')}}${padding}]`;
        return result(modern ? `${content},${MODERN_META}` : content);
      }
      case 'tools/list': {
        const page = pages[params?.cursor === undefined ? 0 : Number(params.cursor)];
        if (page === undefined) return failure(-32602, 'Invalid cursor');
        return result(modern ? `${page},${CACHE_HINTS},${MODERN_META}` : page);
      }
      case 'ping':
        return result('');
      case 'server/discover':
        if (!modern) break;
        return result(
          `"supportedVersions":["${MODERN_REVISION}"],"capabilities":{"tools":{}},${CACHE_HINTS},${MODERN_META}`,
        );
      case 'initialize': {
        if (modern) break;
        const requested = params?.protocolVersion ?? '';
        const revision = LEGACY_REVISIONS.includes(requested) ? requested : LEGACY_REVISIONS[0];
        return result(`"protocolVersion":"${revision}","capabilities":{"tools":{}},"serverInfo":${SERVER_INFO}`);
      }
    }
    return failure(-32601, 'Method not found');
  };
}
