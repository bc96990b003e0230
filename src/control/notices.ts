/** Tells legacy sessions that lists changed: one event on each standalone stream (MCP, list changed notifications). */
import type { StandaloneStreams } from '../session/index.js';

/** The list kinds that clients are told about. */
export interface ListChanges {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
}

const event = (list: string): Buffer =>
  Buffer.from(`event: message\ndata: {"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}\n\n`);

const EVENTS = { tools: event('tools'), prompts: event('prompts'), resources: event('resources') };

/** Call it only once the new lists are in force: clients fetch them at once. */
export function tellListChanges(streams: StandaloneStreams, changes: ListChanges): void {
  if (changes.tools) streams.broadcast(EVENTS.tools);
  if (changes.prompts) streams.broadcast(EVENTS.prompts);
  if (changes.resources) streams.broadcast(EVENTS.resources);
}
