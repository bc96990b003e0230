import assert from 'node:assert/strict';
import { type CompileOptions, compileSnapshot } from '../../src/config/compile/index.js';
import { type ConfigFormat, loadConfigObject, parseConfig } from '../../src/config/load.js';
import type { ServerSnapshot, Snapshot } from '../../src/config/snapshot/index.js';
import { ConfigError } from '../../src/errors.js';

type Env = Readonly<Record<string, string | undefined>>;

/** The snapshot of a text in one of the formats. */
export function snapshotOf(text: string, format: ConfigFormat, env: Env = {}, options: CompileOptions = {}): Snapshot {
  return compileSnapshot(parseConfig(text, format, { fileName: `gateway.${format}`, env }), options);
}

/** The snapshot of a value, as a program would give it; any shape, because tests give wrong ones too. */
export function snapshotOfObject(value: unknown, env: Env = {}, options: CompileOptions = {}): Snapshot {
  return compileSnapshot(loadConfigObject(value as object, { env }), options);
}

const [DEFAULT_SERVER] = snapshotOfObject({ mcpServers: { test: { command: 'test' } } }).servers;

/** A server snapshot with the defaults of every key and no endpoint. */
export function serverSnapshot(changes: Partial<ServerSnapshot>): ServerSnapshot {
  assert.ok(DEFAULT_SERVER !== undefined);
  return { ...DEFAULT_SERVER, endpoints: [], ...changes };
}

/** The problems that `work` ends with; it must end with a ConfigError. */
export function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ConfigError, `not a ConfigError: ${(error as Error).stack}`);
    return error.problems;
  }
  assert.fail('the configuration was accepted');
}

/** The problems of a text that must not be accepted. */
export function problemsOfText(text: string, format: ConfigFormat, env: Env = {}): readonly string[] {
  return problemsOf(() => snapshotOf(text, format, env));
}

/** The problems of a value that must not be accepted. */
export function problemsOfObject(value: unknown, env: Env = {}): readonly string[] {
  return problemsOf(() => snapshotOfObject(value, env));
}
