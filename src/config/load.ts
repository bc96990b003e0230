import { open } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';
import { ConfigError } from '../errors.js';
import { scrubber } from '../secrets/scrub.js';
import type { KnownSecret } from '../secrets/show.js';
import { normalise, pathKey } from './normalise.js';
import { type ConfigPath, Problems } from './problems.js';
import { configSchema, type GatewayConfig, type ResolvedConfig } from './schema/index.js';
import { findings } from './sentences.js';
import { MAX_SOURCE_BYTES, type Position, readValue, SourceError, type SourceNode } from './source/index.js';
import { readJson } from './source/json.js';
import { readToml } from './source/toml.js';
import { readYaml } from './source/yaml.js';

/** JSON is read as JSONC: comments and trailing commas are accepted in both. */
export type ConfigFormat = 'json' | 'jsonc' | 'yaml' | 'toml';

/** A configuration that passed the schema, with the positions of its parts in the file. */
export interface LoadedConfig {
  readonly config: ResolvedConfig;
  /** The file as it was named; null for one made by a program. */
  readonly file: string | null;
  /** Relative paths in the configuration start here. */
  readonly folder: string;
  /** Ignored and renamed keys, one sentence each. */
  readonly warnings: readonly string[];
  /** Values of variables, and other secrets: they appear in no message. */
  readonly secrets: readonly KnownSecret[];
  /** Takes {@link secrets} out of a message. */
  readonly mask: (text: string) => string;
  /** The printable form of the text at `path`; null = as it is. */
  shownAt(path: ConfigPath): string | null;
  /** The position of the value at `path`, or of the nearest value around it. */
  locate(path: ConfigPath): Position | null;
  /** Whether the configuration gives a value at `path`, as opposed to a default. */
  isWritten(path: ConfigPath): boolean;
}

/** The context of a configuration text. */
export interface ParseOptions {
  /** Name for messages; relative paths start in its folder. */
  readonly fileName?: string;
  /** Variables for `${VAR}`; default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const FORMATS: Readonly<Record<string, ConfigFormat>> = {
  '.json': 'json',
  '.jsonc': 'jsonc',
  '.yaml': 'yaml',
  '.yml': 'yaml',
  '.toml': 'toml',
};

/**
 * The format that a file's extension stands for.
 * @throws ConfigError for any other extension.
 */
export function formatOf(file: string): ConfigFormat {
  const format = FORMATS[extname(file).toLowerCase()];
  if (format === undefined) {
    throw new ConfigError([`${file}: the extension must be .json, .jsonc, .yaml, .yml or .toml`]);
  }
  return format;
}

/**
 * Reads and checks a configuration file, at most 16 MiB.
 * @throws ConfigError with every problem as `file:line:column: path: sentence`.
 */
export async function loadConfigFile(
  file: string,
  options: Omit<ParseOptions, 'fileName'> = {},
): Promise<LoadedConfig> {
  const format = formatOf(file);
  const text = decode(await readBounded(file), file);
  return parseConfig(text, format, { ...options, fileName: file });
}

/**
 * Checks the text of a configuration.
 * @throws ConfigError as {@link loadConfigFile}.
 */
export function parseConfig(text: string, format: ConfigFormat, options: ParseOptions = {}): LoadedConfig {
  const file = options.fileName ?? null;
  return check(() => readSource(text, format), file, options.env ?? process.env);
}

/**
 * Checks a configuration made by a program; the same rules hold as in a file, variables included.
 * Relative paths start in the working directory.
 * @throws ConfigError with every problem as `path: sentence`.
 */
export function loadConfigObject(config: GatewayConfig, options: Pick<ParseOptions, 'env'> = {}): LoadedConfig {
  return check(() => readValue(config), null, options.env ?? process.env);
}

function readSource(text: string, format: ConfigFormat): SourceNode {
  const clean = text.startsWith('\uFEFF') ? text.slice(1) : text;
  if (clean.includes('\0')) throw new SourceError(null, 'the file holds a NUL character');
  try {
    if (format === 'yaml') return readYaml(clean);
    return format === 'toml' ? readToml(clean) : readJson(clean);
  } catch (error) {
    // The parsers recurse; a document that exhausts the stack is far deeper than any configuration.
    if (error instanceof RangeError) throw new SourceError(null, 'the document is nested too deeply');
    throw error;
  }
}

function check(
  read: () => SourceNode,
  file: string | null,
  env: Readonly<Record<string, string | undefined>>,
): LoadedConfig {
  const problems = new Problems(file);
  const folder = file === null ? process.cwd() : dirname(resolve(file));
  let root: SourceNode;
  try {
    root = read();
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    problems.add([], error.at, error.message);
    problems.throwIfAny();
    throw error;
  }
  const { value, positions, warnings, shown, secrets } = normalise(root, { env, folder: workspace(folder) }, problems);
  const locate = (path: ConfigPath): Position | null => {
    for (let length = path.length; length >= 0; length -= 1) {
      const key = pathKey(path.slice(0, length));
      const at = positions.get(key) ?? positions.get(`key ${key}`);
      if (at !== undefined) return at;
    }
    return null;
  };
  if (root.kind !== 'object') {
    problems.add([], root.at, 'a configuration is an object with keys such as "mcpServers"');
    problems.throwIfAny();
  }
  // A value that could not be read (an unset variable, for instance) is reported already, and not once more as missing.
  const hasProblems = problems.count > 0;
  const result = configSchema.safeParse(value);
  if (!result.success) {
    for (const { path, sentence } of findings(result.error.issues)) {
      if (hasProblems && sentence.startsWith('is missing') && hasKey(value, path)) continue;
      problems.add(path, locate(path), sentence);
    }
  }
  problems.throwIfAny();
  const isWritten = (path: ConfigPath): boolean => hasKey(value, path);
  return {
    config: result.data as ResolvedConfig,
    file,
    folder,
    warnings,
    secrets,
    mask: scrubber(secrets),
    shownAt: (path) => shown.get(pathKey(path)) ?? null,
    locate,
    isWritten,
  };
}

/** The whole configuration without secrets: for operators, logs, bug reports. */
export function printable({ config, shownAt }: LoadedConfig): ResolvedConfig {
  const walk = (value: unknown, path: ConfigPath): unknown => {
    if (Array.isArray(value)) return value.map((item, i) => walk(item, [...path, i]));
    if (typeof value !== 'object' || value === null) return shownAt(path) ?? value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, walk(member, [...path, key])]));
  };
  return walk(config, []) as ResolvedConfig;
}

/** Whether the parent object names the last key of `path`, with whatever value. */
function hasKey(value: unknown, path: ConfigPath): boolean {
  let node = value;
  for (const part of path.slice(0, -1)) {
    if (typeof node !== 'object' || node === null) return false;
    node = (node as Record<string | number, unknown>)[part];
  }
  return typeof node === 'object' && node !== null && path.length > 0 && path.at(-1)! in node;
}

/** Editors keep their files in a folder of the workspace; `${workspaceFolder}` is the workspace. */
function workspace(folder: string): string {
  return ['.vscode', '.cursor', '.roo', '.kiro'].includes(basename(folder)) ? dirname(folder) : folder;
}

async function readBounded(file: string): Promise<Uint8Array> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > MAX_SOURCE_BYTES)
        throw new ConfigError([`${file}: the file is larger than ${MAX_SOURCE_BYTES} bytes`]);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`${file}: ${reading((error as NodeJS.ErrnoException).code)}`]);
  }
}

function reading(code: string | undefined): string {
  if (code === 'ENOENT') return 'the file does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'the file may not be read by this user';
  if (code === 'EISDIR') return 'this is a folder, not a file';
  return `the file cannot be read (${code ?? 'unknown error'})`;
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError([`${file}: the file is not valid UTF-8`]);
  }
}
