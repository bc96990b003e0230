/** Tells legacy sessions that lists changed: one message on each standalone stream (MCP, list changed notifications). */
import type { StandaloneStreams } from '../session/index.js';

/** The list kinds that clients are told about. */
export interface ListChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
}

const message = (list: string): Buffer =>
  Buffer.from(`{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`);

const MESSAGES = { tools: message('tools'), prompts: message('prompts'), resources: message('resources') };

/** Call it only once the new lists are in force: clients fetch them at once. */
export function tellListChanges(streams: StandaloneStreams, changes: ListChanges): void {
  if (changes.tools) streams.broadcast(MESSAGES.tools);
  if (changes.prompts) streams.broadcast(MESSAGES.prompts);
  if (changes.resources) streams.broadcast(MESSAGES.resources);
}
