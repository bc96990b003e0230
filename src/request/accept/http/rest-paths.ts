/** The paths of the REST transport. */

/** The operation that a path stands for. */
export interface RestCall {
  readonly verb: 'GET' | 'POST';
  /** The method of the message that it becomes; empty = the OpenAPI document. */
  readonly method: '' | 'tools/list' | 'prompts/list' | 'resources/list' | 'resources/templates/list' | RestMethod;
  /** The tool in the path; null = the body names it. */
  readonly tool: string | null;
}

type RestMethod = 'tools/call' | 'prompts/get' | 'resources/read';

const FIXED: ReadonlyMap<string, RestCall> = new Map<string, RestCall>([
  ['/tools', { verb: 'GET', method: 'tools/list', tool: null }],
  ['/prompts', { verb: 'GET', method: 'prompts/list', tool: null }],
  ['/resources', { verb: 'GET', method: 'resources/list', tool: null }],
  ['/resources/templates', { verb: 'GET', method: 'resources/templates/list', tool: null }],
  ['/openapi.json', { verb: 'GET', method: '', tool: null }],
  ['/tools/call', { verb: 'POST', method: 'tools/call', tool: null }],
  ['/prompts/get', { verb: 'POST', method: 'prompts/get', tool: null }],
  ['/resources/read', { verb: 'POST', method: 'resources/read', tool: null }],
]);

const TOOL_PREFIX = '/tools/';

/** The operation of a path; null when it is no path of the REST transport. */
export function restCall(path: string): RestCall | null {
  const fixed = FIXED.get(path);
  if (fixed !== undefined) return fixed;
  if (!path.startsWith(TOOL_PREFIX) || path.length === TOOL_PREFIX.length) return null;
  try {
    return { verb: 'POST', method: 'tools/call', tool: decodeURIComponent(path.slice(TOOL_PREFIX.length)) };
  } catch {
    return null;
  }
}
