/**
 * A small MCP server over stdio: notes kept in memory, with tools, a resource, a resource template with completion,
 * and a prompt. One half of what `npm start` shows without a configuration.
 */
import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

/** Most notes, so that a demo does not grow without a bound. */
const MOST_NOTES = 1_000;

const notes = new Map<string, string>([
  ['welcome', 'These notes live in the memory of a stdio server behind Switchyard.'],
  ['shopping', 'Rails, sleepers, one set of points.'],
]);

const titlesWith = (start: string | undefined): string[] =>
  [...notes.keys()].filter((title) => title.startsWith(start ?? '')).slice(0, 100);

const say = (text: string, isError = false) => ({ content: [{ type: 'text' as const, text }], isError });

const server = new McpServer(
  { name: 'notes', version: '1.0.0' },
  { instructions: 'Keeps short notes by title. They are gone when the server stops.' },
);

server.registerTool(
  'list_notes',
  { description: 'Lists the titles of all notes', annotations: { readOnlyHint: true, openWorldHint: false } },
  async () => say([...notes.keys()].join('\n')),
);

server.registerTool(
  'add_note',
  {
    description: 'Writes a note, replacing the one with the same title',
    inputSchema: { title: z.string().min(1).max(100), text: z.string().max(10_000) },
    annotations: { destructiveHint: true, idempotentHint: true, openWorldHint: false },
  },
  async ({ title, text }) => {
    if (notes.size >= MOST_NOTES && !notes.has(title)) return say(`There are ${MOST_NOTES} notes already.`, true);
    const isNew = !notes.has(title);
    notes.set(title, text);
    if (isNew) server.sendResourceListChanged();
    return say(`Saved "${title}".`);
  },
);

server.registerTool(
  'search_notes',
  {
    description: 'Finds the notes that contain a word',
    inputSchema: { word: z.string().min(1).max(100) },
    outputSchema: { titles: z.array(z.string()) },
    annotations: { readOnlyHint: true, openWorldHint: false },
  },
  async ({ word }) => {
    const found = [...notes].filter(([title, text]) => `${title}\n${text}`.toLowerCase().includes(word.toLowerCase()));
    const structuredContent = { titles: found.map(([title]) => title) };
    return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
  },
);

server.registerResource(
  'index',
  'notes://index',
  { title: 'All titles', description: 'The titles of all notes, one a line', mimeType: 'text/plain' },
  async (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: [...notes.keys()].join('\n') }] }),
);

server.registerResource(
  'note',
  new ResourceTemplate('notes://note/{title}', { list: undefined, complete: { title: titlesWith } }),
  { title: 'One note', mimeType: 'text/plain' },
  async (uri, { title }) => {
    const text = notes.get(decodeURIComponent(String(title)));
    if (text === undefined) throw new Error(`There is no note "${title}".`);
    return { contents: [{ uri: uri.href, mimeType: 'text/plain', text }] };
  },
);

server.registerPrompt(
  'summarize_note',
  {
    description: 'Asks for a summary of one note',
    argsSchema: { title: completable(z.string(), titlesWith), words: z.string().optional() },
  },
  async ({ title, words }) => {
    const text = `Summarize this note in at most ${words ?? '20'} words:\n\n${notes.get(title) ?? '(no such note)'}`;
    return { messages: [{ role: 'user', content: { type: 'text', text } }] };
  },
);

await server.connect(new StdioServerTransport());
