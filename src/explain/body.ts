/** The call that is explained as the command line and the admin listener give it. */
import { z } from 'zod';
import { type ExplainedCall, QuestionError } from './question.js';

const strings = z.array(z.string()).default([]);

const bodySchema = z.strictObject({
  /** Subject; left out = without a credential. */
  as: z.string().min(1).optional(),
  scopes: strings,
  permissions: strings,
  tool: z.string().min(1).optional(),
  prompt: z.string().min(1).optional(),
  resource: z.string().min(1).optional(),
  method: z.string().min(1).optional(),
  headers: z.record(z.string(), z.string()).default({}),
  /** Path of the endpoint; left out = the first. */
  path: z.string().default(''),
  arguments: z.record(z.string(), z.unknown()).optional(),
  address: z.string().default('127.0.0.1'),
  /** The client speaks 2026-07-28. */
  modern: z.boolean().default(false),
});

/** A call as it is written. */
export type ExplainBody = z.input<typeof bodySchema>;

/** The call of a body. @throws QuestionError with a sentence */
export function callOf(body: unknown): ExplainedCall {
  const parsed = bodySchema.safeParse(body);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new QuestionError(`${issue?.path.join('.') || 'the body'}: ${issue?.message ?? 'is not valid'}`);
  }
  const { as, tool, prompt, resource, method, arguments: given, modern, ...rest } = parsed.data;
  const names = [tool, prompt, resource].filter((name) => name !== undefined);
  if (names.length > 1) throw new QuestionError('give one of tool, prompt and resource');
  if (names.length === 0 && method === undefined) throw new QuestionError('give a tool, prompt, resource or method');
  const ordinary = tool !== undefined ? 'tools/call' : prompt !== undefined ? 'prompts/get' : 'resources/read';
  return {
    ...rest,
    subject: as ?? null,
    method: method ?? ordinary,
    name: names[0] ?? '',
    arguments: given ?? null,
    isModern: modern,
  };
}
