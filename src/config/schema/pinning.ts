/** Pinning of tool definitions: what happens with a tool that is not as the lockfile says. */
import { z } from 'zod';

/** What can happen with such a tool. */
export const PINNING_ACTIONS = ['refuse', 'hide', 'flag'] as const;

const action = (which: string) =>
  z
    .enum(PINNING_ACTIONS)
    .default('refuse')
    .describe(
      `What happens with ${which}: \`refuse\` = it is not listed, and a call gets \`GW_TOOL_NOT_APPROVED\`; \`hide\` = as if the server did not have it; \`flag\` = it is offered. The log, \`/stats\` and \`/metrics\` say so in each case.`,
    );

/** `catalog.pinning`. */
export const pinningSchema = z.strictObject({
  lock: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The lockfile that `switchyard lock` writes, relative to the configuration file. Default: `NAME.lock.json` beside it, where NAME is its name without the extension.',
    ),
  onChange: action('a tool whose title, description, schemas or annotations are not those of the lockfile'),
  onNew: action('a tool that is not in the lockfile; one under another name than there is such a tool'),
});
