/** The four lists, in the order of `EntryKind`. */
export const LISTS = ['tools', 'prompts', 'resources', 'templates'] as const;
export type ListName = (typeof LISTS)[number];
