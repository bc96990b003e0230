/** The parts of the OpenAPI document that are the same whatever the tools are. */
import type { AuthSnapshot } from '../../../config/snapshot/auth.js';
import { Scheme } from '../../../shared/scheme.js';

const json = (value: unknown): string => JSON.stringify(value);

const ERROR = { $ref: '#/components/responses/Error' };
const content = (schema: object | true): object => ({ 'application/json': { schema } });
const answer = (description: string, schema: object | true): object => ({
  200: { description, content: content(schema) },
  default: ERROR,
});

const CURSOR = {
  name: 'cursor',
  in: 'query',
  required: false,
  schema: { type: 'string' },
  description: 'The nextCursor of the page before.',
};

const list = (operationId: string, summary: string, key: string): object => ({
  get: {
    operationId,
    summary,
    tags: ['lists'],
    parameters: [CURSOR],
    responses: answer('One page.', {
      type: 'object',
      properties: { [key]: { type: 'array', items: { type: 'object' } }, nextCursor: { type: 'string' } },
      required: [key],
    }),
  },
});

const call = (
  operationId: string,
  summary: string,
  properties: object,
  required: string[],
  result: object,
): object => ({
  post: {
    operationId,
    summary,
    tags: ['calls'],
    requestBody: { required: true, content: content({ type: 'object', properties, required }) },
    responses: answer('The result.', result),
  },
});

const named = { name: { type: 'string' }, arguments: { type: 'object' } };

/** The path items of everything that is no tool, each a member of `paths`. */
export const GENERAL_PATHS: readonly string[] = Object.entries({
  '/tools': list('list-tools', 'Lists the tools.', 'tools'),
  '/prompts': list('list-prompts', 'Lists the prompts.', 'prompts'),
  '/resources': list('list-resources', 'Lists the resources.', 'resources'),
  '/resources/templates': list('list-resource-templates', 'Lists the resource templates.', 'resourceTemplates'),
  '/tools/call': call('call-tool', 'Calls a tool by its name.', named, ['name'], {
    $ref: '#/components/schemas/ToolResult',
  }),
  '/prompts/get': call('get-prompt', 'Gets a prompt.', named, ['name'], { type: 'object' }),
  '/resources/read': call('read-resource', 'Reads a resource.', { uri: { type: 'string' } }, ['uri'], {
    type: 'object',
  }),
}).map(([path, item]) => `${json(path)}:${json(item)}`);

const SCHEMAS = {
  ToolResult: {
    type: 'object',
    properties: {
      content: { type: 'array', items: { type: 'object' } },
      structuredContent: true,
      isError: { type: 'boolean', description: 'The tool failed; its content says why.' },
    },
  },
  Error: {
    type: 'object',
    properties: {
      error: {
        type: 'object',
        properties: {
          code: { type: 'integer', description: 'The JSON-RPC code.' },
          message: { type: 'string' },
          data: { type: 'object', properties: { code: { type: 'string' }, retryable: { type: 'boolean' } } },
        },
        required: ['code', 'message'],
      },
    },
    required: ['error'],
  },
};

const RESPONSES = {
  Error: { description: 'The request failed.', content: content({ $ref: '#/components/schemas/Error' }) },
};

/** What goes before and behind the members of `paths`. */
export interface OpenApiFrame {
  readonly before: string;
  readonly after: string;
}

/** @param name of the gateway */
export function openApiFrame(name: string, auth: AuthSnapshot): OpenApiFrame {
  const securitySchemes = securitySchemesOf(auth);
  const names = Object.keys(securitySchemes);
  const head = {
    openapi: '3.1.0',
    info: { title: name, version: '1' },
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    // One of them is enough.
    ...(names.length === 0 ? {} : { security: names.map((scheme) => ({ [scheme]: [] })) }),
  };
  const components = {
    schemas: SCHEMAS,
    responses: RESPONSES,
    ...(names.length === 0 ? {} : { securitySchemes }),
  };
  return { before: `${json(head).slice(0, -1)},"paths":{`, after: `},"components":${json(components)}}` };
}

/**
 * The ways in which a client can authenticate, by a name for each, in the order of the providers. The headers of a proxy are
 * nothing that a client can send.
 */
function securitySchemesOf({ authorizationServers, providers }: AuthSnapshot): Readonly<Record<string, object>> {
  const schemes: Record<string, object> = {};
  const add = (name: string, scheme: object): void => {
    const before = Object.keys(schemes).filter((key) => key.startsWith(name)).length;
    schemes[before === 0 ? name : `${name}${before + 1}`] = scheme;
  };
  for (const provider of providers) {
    if (provider.type === 'basic') add('basic', { type: 'http', scheme: 'basic' });
    else if (provider.type === 'apiKey') add('apiKey', { type: 'apiKey', in: 'header', name: provider.header });
    else if (provider.scheme === Scheme.bearer) schemes['bearer'] = { type: 'http', scheme: 'bearer' };
  }
  // Where a client gets a token for `bearer` (OpenID Connect Discovery section 4).
  for (const issuer of authorizationServers) {
    const openIdConnectUrl = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    add('openIdConnect', { type: 'openIdConnect', openIdConnectUrl });
  }
  return schemes;
}
