import { open } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';
import { ConfigError } from '../errors.js';
import { adaptClientFile } from './client-files.js';
import { LoadedConfig } from './loaded.js';
import { isUnread, normalise, positionAt } from './normalise.js';
import { Problems } from './problems.js';
import { configSchema, type GatewayConfig, type ResolvedConfig } from './schema/index.js';
import { findings } from './sentences.js';
import { MAX_SOURCE_BYTES, readValue, SourceError, type SourceNode } from './source/index.js';
import { readJson } from './source/json.js';
import { readToml } from './source/toml.js';
import { readYaml } from './source/yaml.js';

/** JSON is read as JSONC: comments and trailing commas are accepted in both. */
export type ConfigFormat = 'json' | 'jsonc' | 'yaml' | 'toml';

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
  const adapted = adaptClientFile(root, problems);
  const source = normalise(adapted.root, { env, folder: workspace(folder) }, problems, adapted.warnings);
  if (root.kind !== 'object') {
    problems.add([], root.at, 'a configuration is an object with keys such as "mcpServers"');
    problems.throwIfAny();
  }
  // A value that could not be read (an unset variable, for instance) is reported already, and not once more as one of the wrong type.
  const hasProblems = problems.count > 0;
  const result = configSchema.safeParse(source.value);
  if (!result.success) {
    for (const { path, sentence } of findings(result.error.issues)) {
      if (hasProblems && isUnread(source.value, path)) continue;
      problems.add(path, positionAt(source.positions, path), sentence);
    }
  }
  problems.throwIfAny();
  return new LoadedConfig(result.data as ResolvedConfig, file, folder, source);
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
