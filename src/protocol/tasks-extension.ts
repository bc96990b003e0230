/** The tasks extension of 2026-07-28. */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** What a client that takes tasks declares in its capabilities. */
export const TASKS_CAPABILITY = { extensions: { [TASKS_EXTENSION]: {} } } as const;

/** The same as a member of `_meta` of one request. */
export const TASKS_DECLARED = { 'io.modelcontextprotocol/clientCapabilities': TASKS_CAPABILITY } as const;
