/** Configuration keys that were renamed. The old spelling is accepted with a warning, and is deprecated in the JSON Schema. */
import type { ConfigPath } from './problems.js';
import { snakeCase } from './schema-walk.js';

/** Old key by its path, `*` for any name or index, and the key that replaced it in the same object. */
export const RENAMED_KEYS: Readonly<Record<string, string>> = {
  'mcpServers.*.maxLanes': 'maxDedicated',
  'mcpServers.*.laneIdleMs': 'dedicatedIdleMs',
};

/** One key of an object that was renamed. */
export interface RenamedKey {
  readonly before: string;
  readonly now: string;
}

/** The renamed keys of the object at `path`, a path in canonical spelling. */
export function renamedKeys(path: ConfigPath): readonly RenamedKey[] {
  return Object.entries(RENAMED_KEYS).flatMap(([oldPath, now]) => {
    const parts = oldPath.split('.');
    const before = parts.pop() ?? '';
    const matches = parts.length === path.length && parts.every((part, i) => part === '*' || part === path[i]);
    return matches ? [{ before, now }] : [];
  });
}

/** The renamed key that `key`, in camelCase or snake_case, is the old spelling of; `undefined` = none. */
export function renamedKey(path: ConfigPath, key: string): RenamedKey | undefined {
  return renamedKeys(path).find(({ before }) => key === before || key === snakeCase(before));
}

/** The warning about an old spelling. */
export function renamedSentence({ before, now }: RenamedKey): string {
  return `"${before}" is now called "${now}"; the old name still works`;
}
