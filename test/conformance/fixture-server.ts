/** What the conformance fixture serves: the names, texts and values that the scenarios of the suite ask for. */
import { completable, fromJsonSchema, McpServer, ProtocolError, ResourceTemplate } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { pause } from '../support/server-content.js';
import { registerInputTools, requestStates } from './fixture-input.js';

/** A red pixel. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
/** A WAV header without samples. */
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';

/** Between two notifications of a tool, milliseconds: long enough that they cannot arrive as one piece. */
const STEP_MS = 50;

const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
} as const;

/** Lists that the trigger tools change. Over modern HTTP a server object lives for one request, so they live here. */
const shown = { tool: false, prompt: false };

/** Told when a trigger tool has changed a list. */
export interface ListWatcher {
  toolsChanged(): void;
  promptsChanged(): void;
}

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });
const said = (value: string) => ({ role: 'user' as const, content: { type: 'text' as const, text: value } });

/**
 * Builds one server object; it serves whichever family it is connected for.
 *
 * @param watcher told about changed lists besides the clients of this object itself
 */
export function buildFixture(watcher?: ListWatcher): McpServer {
  const server = new McpServer(
    { name: 'conformance-fixture', version: '1.0.0' },
    {
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
      },
      requestState: { verify: requestStates.verify },
    },
  );
  registerContentTools(server);
  registerNotifyingTools(server);
  registerInputTools(server);
  registerSchemaTools(server);
  registerPrompts(server);
  registerResources(server);
  registerTriggers(server, watcher);
  return server;
}

function registerContentTools(server: McpServer): void {
  // The first of the list: a scenario calls whatever comes first without arguments.
  server.registerTool('test_simple_text', { description: 'Answers with text' }, () =>
    text('This is a simple text response for testing.'),
  );
  server.registerTool('test_image_content', { description: 'Answers with an image' }, () => ({
    content: [{ type: 'image', data: PNG, mimeType: 'image/png' }],
  }));
  server.registerTool('test_audio_content', { description: 'Answers with a sound' }, () => ({
    content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  }));
  server.registerTool('test_embedded_resource', { description: 'Answers with a resource' }, () => ({
    content: [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  }));
  server.registerTool('test_multiple_content_types', { description: 'Answers with three kinds of content' }, () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      { type: 'image', data: PNG, mimeType: 'image/png' },
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: '{"test":"data","value":123}',
        },
      },
    ],
  }));
  server.registerTool('test_error_handling', { description: 'Always fails' }, () => ({
    ...text('This tool intentionally returns an error for testing'),
    isError: true,
  }));
}

function registerNotifyingTools(server: McpServer): void {
  server.registerTool('test_tool_with_logging', { description: 'Logs while it works' }, async (ctx) => {
    await ctx.mcpReq.log('info', 'Tool execution started');
    await pause(STEP_MS);
    await ctx.mcpReq.log('info', 'Tool processing data');
    await pause(STEP_MS);
    await ctx.mcpReq.log('info', 'Tool execution completed');
    return text('Tool with logging executed successfully');
  });
  server.registerTool('test_logging_tool', { description: 'Logs once' }, async (ctx) => {
    await ctx.mcpReq.log('info', 'A message');
    return text('Logged');
  });
  server.registerTool('test_tool_with_progress', { description: 'Reports progress' }, async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progress > 0) await pause(STEP_MS);
      if (progressToken === undefined) continue;
      await ctx.mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken, progress, total: 100, message: `Completed step ${progress} of 100` },
      });
    }
    return text(String(progressToken ?? 'no progress token'));
  });
  server.registerTool('test_reconnection', { description: 'Closes its stream before it answers' }, async (ctx) => {
    ctx.http?.closeSSE?.();
    await pause(2 * STEP_MS);
    return text('Reconnection test completed successfully');
  });
}

function registerSchemaTools(server: McpServer): void {
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(SCHEMA_2020_12 as never) },
    (args) => text(JSON.stringify(args)),
  );
  server.registerTool(
    'test_header_parameter',
    {
      description: 'Takes an argument that clients repeat in a header',
      inputSchema: fromJsonSchema<{ region: string }>({
        type: 'object',
        properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
        required: ['region'],
      } as never),
    },
    ({ region }) => text(`Region: ${region}`),
  );
}

function registerPrompts(server: McpServer): void {
  server.registerPrompt('test_simple_prompt', { description: 'No arguments' }, () => ({
    messages: [said('This is a simple prompt for testing.')],
  }));
  server.registerPrompt(
    'test_prompt_with_arguments',
    {
      description: 'Two arguments',
      argsSchema: z.object({
        arg1: completable(z.string(), (value) => ['paris', 'park', 'party'].filter((one) => one.startsWith(value))),
        arg2: z.string(),
      }),
    },
    ({ arg1, arg2 }) => ({ messages: [said(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)] }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'Embeds a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) => ({
      messages: [
        {
          role: 'user',
          content: {
            type: 'resource',
            resource: {
              uri: resourceUri,
              mimeType: 'text/plain',
              text: 'Embedded resource content for testing.',
            },
          },
        },
        said('Please process the embedded resource above.'),
      ],
    }),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'Holds an image' }, () => ({
    messages: [
      { role: 'user', content: { type: 'image', data: PNG, mimeType: 'image/png' } },
      said('Please analyze the image above.'),
    ],
  }));
}

function registerResources(server: McpServer): void {
  server.registerResource('static-text', 'test://static-text', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }],
  }));
  server.registerResource('static-binary', 'test://static-binary', { mimeType: 'image/png' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'image/png', blob: PNG }],
  }));
  server.registerResource('watched-resource', 'test://watched-resource', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'Watched resource content' }],
  }));
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { mimeType: 'application/json' },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: 'application/json',
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
        },
      ],
    }),
  );
  const watched = new Set<string>();
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    if (watched.size >= 100) throw new ProtocolError(-32603, 'Too many subscriptions');
    watched.add(params.uri);
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    watched.delete(params.uri);
    return {};
  });
}

function registerTriggers(server: McpServer, watcher: ListWatcher | undefined): void {
  const tool = server.registerTool('test_dynamic_tool', { description: 'Comes and goes' }, () => text('dynamic'));
  const prompt = server.registerPrompt('test_dynamic_prompt', { description: 'Comes and goes' }, () => ({
    messages: [said('dynamic')],
  }));
  tool.update({ enabled: shown.tool });
  prompt.update({ enabled: shown.prompt });
  server.registerTool('test_trigger_tool_change', { description: 'Changes the list of tools' }, () => {
    shown.tool = !shown.tool;
    tool.update({ enabled: shown.tool });
    watcher?.toolsChanged();
    return text('The list of tools has changed');
  });
  server.registerTool('test_trigger_prompt_change', { description: 'Changes the list of prompts' }, () => {
    shown.prompt = !shown.prompt;
    prompt.update({ enabled: shown.prompt });
    watcher?.promptsChanged();
    return text('The list of prompts has changed');
  });
}
