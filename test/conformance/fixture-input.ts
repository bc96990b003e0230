/**
 * Tools and a prompt of the fixture that need something from the client. They are written once, as `input_required`
 * results; to a client with a session the SDK turns those into requests of the server.
 */
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  type ClientCapabilities,
  type CreateMessageRequest,
  createRequestStateCodec,
  type InputRequest,
  inputRequired,
  inputResponse,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

/** Signs what comes back with the next round. One key for all processes, as replicas of a server would have. */
export const requestStates = createRequestStateCodec<{ step: string }>({
  key: 'conformance fixture: a key that protects nothing',
});

const nameSchema = z.object({ name: z.string() });
const okSchema = z.object({ ok: z.boolean() });
const colorSchema = z.object({ color: z.string() });
const contextSchema = z.object({ context: z.string() });

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

const askForName = (message = 'What is your name?'): InputRequest =>
  inputRequired.elicit({ message, requestedSchema: nameSchema });

const sample = (question: string, maxTokens: number): InputRequest =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: question } }],
    maxTokens,
  });

function sampled(ctx: ServerContext, key: string): string | undefined {
  const answer = inputResponse(ctx.mcpReq.inputResponses, key);
  if (answer.kind !== 'sampling') return undefined;
  const { content } = answer.result;
  return !Array.isArray(content) && content.type === 'text' ? content.text : '';
}

/** What the client can do: said by each modern request, or once by `initialize`. */
function capabilitiesOf(server: McpServer, ctx: ServerContext): ClientCapabilities {
  const envelope = ctx.mcpReq.envelope as { [CLIENT_CAPABILITIES_META_KEY]?: ClientCapabilities } | undefined;
  return envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? server.server.getClientCapabilities() ?? {};
}

/**
 * The gateway's convention for servers of older revisions, whose requests have no keys: `_meta` says under which key a
 * client of 2026-07-28 shall find the question.
 */
const INPUT_KEY = 'switchyard/inputKey';

/** What {@link inputRequired} gives, with the keys in the questions where the SDK turns them into requests. */
function inputFrom(ctx: ServerContext, spec: { inputRequests: Record<string, InputRequest>; requestState?: string }) {
  if (ctx.mcpReq.envelope !== undefined) return inputRequired(spec);
  const named = Object.entries(spec.inputRequests).map(([key, request]) => {
    const params = { ...request.params, _meta: { [INPUT_KEY]: key } };
    return [key, { ...request, params } as InputRequest];
  });
  return inputRequired({ ...spec, inputRequests: Object.fromEntries(named) });
}

/** Registers everything of the contract that asks the client back. */
export function registerInputTools(server: McpServer): void {
  registerQuestions(server);
  registerSingleRounds(server);
  registerStates(server);
  registerCapabilityTools(server);
}

/** Tools that scenarios of 2025-11-25 call. */
function registerQuestions(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Asks for a completion', inputSchema: z.object({ prompt: z.string() }) },
    ({ prompt }, ctx) => {
      const answer = sampled(ctx, 'answer');
      if (answer === undefined) return inputFrom(ctx, { inputRequests: { answer: sample(prompt, 100) } });
      return text(`LLM response: ${answer}`);
    },
  );
  const elicitation = (
    name: string,
    describe: (answer: { action: string; content?: unknown }) => string,
    ask: (message: string) => InputRequest,
    inputSchema: z.ZodType<{ message: string }> = z.object({ message: z.string().default('Please answer') }),
  ): void => {
    server.registerTool(name, { description: 'Asks the user', inputSchema }, ({ message }, ctx) => {
      const answer = inputResponse(ctx.mcpReq.inputResponses, 'answer');
      if (answer.kind !== 'elicit') return inputFrom(ctx, { inputRequests: { answer: ask(message) } });
      return text(describe(answer));
    });
  };
  const completed = ({ action, content }: { action: string; content?: unknown }): string =>
    `Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`;
  elicitation(
    'test_elicitation',
    ({ action, content }) => `User response: action=${action}, content=${JSON.stringify(content ?? {})}`,
    (message) =>
      inputRequired.elicit({
        message,
        requestedSchema: {
          type: 'object',
          properties: {
            username: { type: 'string', description: "User's response" },
            email: { type: 'string', description: "User's email address" },
          },
          required: ['username', 'email'],
        },
      }),
    z.object({ message: z.string() }),
  );
  elicitation('test_elicitation_sep1034_defaults', completed, (message) =>
    inputRequired.elicit({
      message,
      requestedSchema: {
        type: 'object',
        properties: {
          name: { type: 'string', default: 'John Doe' },
          age: { type: 'integer', default: 30 },
          score: { type: 'number', default: 95.5 },
          status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
          verified: { type: 'boolean', default: true },
        },
        required: [],
      },
    }),
  );
  const titled = (...pairs: [string, string][]) => pairs.map(([value, title]) => ({ const: value, title }));
  elicitation('test_elicitation_sep1330_enums', completed, (message) =>
    inputRequired.elicit({
      message,
      requestedSchema: {
        type: 'object',
        properties: {
          untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
          titledSingle: {
            type: 'string',
            oneOf: titled(['value1', 'First Option'], ['value2', 'Second Option'], ['value3', 'Third Option']),
          },
          legacyEnum: {
            type: 'string',
            enum: ['opt1', 'opt2', 'opt3'],
            enumNames: ['Option One', 'Option Two', 'Option Three'],
          },
          untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
          titledMulti: {
            type: 'array',
            items: {
              anyOf: titled(['value1', 'First Choice'], ['value2', 'Second Choice'], ['value3', 'Third Choice']),
            },
          },
        },
        required: [],
      },
    }),
  );
}

function registerSingleRounds(server: McpServer): void {
  server.registerTool('test_input_required_result_elicitation', { description: 'Asks for a name' }, (ctx) => {
    const answer = acceptedContent(ctx.mcpReq.inputResponses, 'user_name', nameSchema);
    if (answer === undefined) return inputFrom(ctx, { inputRequests: { user_name: askForName() } });
    return text(`Hello, ${answer.name}!`);
  });
  server.registerTool('test_input_required_result_sampling', { description: 'Asks a model' }, (ctx) => {
    const answer = sampled(ctx, 'capital_question');
    if (answer === undefined) {
      const question = sample('What is the capital of France?', 100);
      return inputFrom(ctx, { inputRequests: { capital_question: question } });
    }
    return text(answer);
  });
  server.registerTool('test_input_required_result_list_roots', { description: 'Asks for roots' }, (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'client_roots');
    if (answer.kind !== 'roots') {
      return inputFrom(ctx, { inputRequests: { client_roots: inputRequired.listRoots() } });
    }
    return text(`Roots: ${answer.roots.map(({ uri }) => uri).join(', ')}`);
  });
  server.registerPrompt('test_input_required_result_prompt', { description: 'Asks for its context' }, (ctx) => {
    const answer = acceptedContent(ctx.mcpReq.inputResponses, 'user_context', contextSchema);
    if (answer === undefined) {
      const user_context = inputRequired.elicit({
        message: 'What context should the prompt use?',
        requestedSchema: contextSchema,
      });
      return inputFrom(ctx, { inputRequests: { user_context } });
    }
    return { messages: [{ role: 'user', content: { type: 'text', text: `Context: ${answer.context}` } }] };
  });
}

function registerStates(server: McpServer): void {
  const state = (ctx: ServerContext): string | undefined => ctx.mcpReq.requestState<{ step: string }>()?.step;
  const confirm = inputRequired.elicit({ message: 'Please confirm', requestedSchema: okSchema });
  for (const name of ['request_state', 'tampered_state']) {
    server.registerTool(`test_input_required_result_${name}`, { description: 'Keeps state' }, async (ctx) => {
      const answer = acceptedContent(ctx.mcpReq.inputResponses, 'confirm', okSchema);
      if (answer !== undefined && state(ctx) === name) return text('state-ok');
      return inputFrom(ctx, {
        inputRequests: { confirm },
        requestState: await requestStates.mint({ step: name }, ctx),
      });
    });
  }
  server.registerTool('test_input_required_result_multiple_inputs', { description: 'Asks thrice' }, async (ctx) => {
    const name = acceptedContent(ctx.mcpReq.inputResponses, 'user_name', nameSchema);
    const greeting = sampled(ctx, 'greeting');
    const roots = inputResponse(ctx.mcpReq.inputResponses, 'client_roots');
    if (name !== undefined && greeting !== undefined && roots.kind === 'roots' && state(ctx) === 'multiple') {
      return text(`${greeting}, ${name.name}: ${roots.roots.length} roots`);
    }
    return inputFrom(ctx, {
      inputRequests: {
        user_name: askForName(),
        greeting: sample('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await requestStates.mint({ step: 'multiple' }, ctx),
    });
  });
  server.registerTool('test_input_required_result_multi_round', { description: 'Asks twice' }, async (ctx) => {
    const color = acceptedContent(ctx.mcpReq.inputResponses, 'step2', colorSchema);
    const before = state(ctx);
    if (before?.startsWith('2 ') && color !== undefined) return text(`${before.slice(2)} likes ${color.color}`);
    const name = acceptedContent(ctx.mcpReq.inputResponses, 'step1', nameSchema);
    if (before === '1' && name !== undefined) {
      const step2 = inputRequired.elicit({
        message: 'Step 2: What is your favorite color?',
        requestedSchema: colorSchema,
      });
      const requestState = await requestStates.mint({ step: `2 ${name.name}` }, ctx);
      return inputFrom(ctx, { inputRequests: { step2 }, requestState });
    }
    return inputFrom(ctx, {
      inputRequests: { step1: askForName('Step 1: What is your name?') },
      requestState: await requestStates.mint({ step: '1' }, ctx),
    });
  });
}

function registerCapabilityTools(server: McpServer): void {
  server.registerTool('test_missing_capability', { description: 'Needs sampling' }, async (ctx) => {
    const question = sample('What is the capital of France?', 100);
    // To a client with a session the SDK would ask nothing that it has not declared; this server asks all the same.
    if (ctx.mcpReq.envelope === undefined) {
      const { content } = await ctx.mcpReq.send(question as CreateMessageRequest);
      return text(JSON.stringify(content));
    }
    const answer = sampled(ctx, 'capital_question');
    // The SDK refuses to ask what the client has not declared, with the error that the scenario wants.
    if (answer !== undefined) return text(answer);
    return inputFrom(ctx, { inputRequests: { capital_question: question } });
  });
  server.registerTool('test_input_required_result_capabilities', { description: 'Asks what it may' }, (ctx) => {
    const can = capabilitiesOf(server, ctx);
    const inputRequests: Record<string, InputRequest> = {};
    if (can.sampling !== undefined) inputRequests['capital_question'] = sample('What is the capital of France?', 100);
    if (can.elicitation !== undefined) inputRequests['user_name'] = askForName();
    if (Object.keys(inputRequests).length === 0) return text('The client can do nothing');
    const answered = Object.keys(inputRequests).every((key) => ctx.mcpReq.inputResponses?.[key] !== undefined);
    return answered ? text('Thank you') : inputFrom(ctx, { inputRequests });
  });
  server.registerTool('test_streaming_elicitation', { description: 'Asks within a stream' }, async (ctx) => {
    const answer = acceptedContent(ctx.mcpReq.inputResponses, 'user_name', nameSchema);
    if (answer === undefined) return inputFrom(ctx, { inputRequests: { user_name: askForName() } });
    return text(`Hello, ${answer.name}!`);
  });
}
