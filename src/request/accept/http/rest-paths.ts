/** The paths of the REST door. */

/** What a path asks for. */
export interface RestCall {
  readonly verb: 'GET' | 'POST';
  /** The method of the message that it becomes; empty = the OpenAPI document. */
  readonly method: '' | 'tools/list' | 'prompts/list' | 'resources/list' | 'resources/templates/list' | RestMethod;
  /** The tool that the path names; null = the body says. */
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

/** What a path of the REST door asks for; null when it is none of them. */
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
