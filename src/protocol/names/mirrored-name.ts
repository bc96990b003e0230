import { Method } from '../../../native/layout.js';

/** Whether the name of this method's request is mirrored in `Mcp-Name` (MCP 2026-07-28, Streamable HTTP). */
export function isNameMirrored(method: number): boolean {
  return (
    method === Method.toolsCall ||
    method === Method.promptsGet ||
    method === Method.resourcesRead ||
    method === Method.tasksGet ||
    method === Method.tasksUpdate ||
    method === Method.tasksCancel
  );
}
