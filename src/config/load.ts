import { open } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';
import { ConfigError } from '../errors.js';
import { type AdaptedFile, adaptClientFile } from './client-files.js';
import { LoadedConfig } from './loaded.js';
import { isUnread, type Normalised, normalise, positionAt, valueAt } from './normalise.js';
import { type ConfigPath, Problems } from './problems.js';
import { adaptProxyFile } from './proxy-files.js';
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
 * Reads a file, of this gateway or of another program, as a value with the keys of this gateway. Variables stay as they are
 * written, so that none has to be set; secrets of the file stay as well.
 * @throws ConfigError as {@link loadConfigFile}, for what does not depend on variables.
 */
export async function readConfigFile(file: string): Promise<Normalised> {
  const format = formatOf(file);
  const text = decode(await readBounded(file), file);
  const problems = new Problems(file);
  const adapted = adapt(() => readSource(text, format), problems);
  const source = normalise(adapted.root, null, problems, adapted.warnings);
  checkValue(source, problems, (path) => {
    const value = valueAt(source.value, path);
    return typeof value === 'string' && value.includes('${');
  });
  problems.throwIfAny();
  return source;
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
  const adapted = adapt(read, problems);
  const source = normalise(adapted.root, { env, folder: workspace(folder) }, problems, adapted.warnings);
  // A value that could not be read (an unset variable, for instance) is reported already, and not once more as one of the wrong type.
  const hasProblems = problems.count > 0;
  const config = checkValue(source, problems, (path) => hasProblems && isUnread(source.value, path));
  problems.throwIfAny();
  return new LoadedConfig(config as ResolvedConfig, file, folder, source);
}

/** The value with its defaults, undefined where it has problems. @param isOpen whether nothing can be said about a place */
function checkValue(
  source: Normalised,
  problems: Problems,
  isOpen: (path: ConfigPath) => boolean,
): ResolvedConfig | undefined {
  const result = configSchema.safeParse(source.value);
  for (const { path, sentence } of findings(result.error?.issues ?? [])) {
    if (!isOpen(path)) problems.add(path, positionAt(source.positions, path), sentence);
  }
  return result.data;
}

/** The tree of a file in the shape of the schema, whichever program it is of. @throws ConfigError where it is no object */
function adapt(read: () => SourceNode, problems: Problems): AdaptedFile {
  try {
    const root = read();
    if (root.kind === 'object') {
      const proxy = adaptProxyFile(root, problems);
      const client = adaptClientFile(proxy.root, problems);
      return { root: client.root, warnings: [...proxy.warnings, ...client.warnings] };
    }
    problems.add([], root.at, 'a configuration is an object with keys such as "mcpServers"');
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    problems.add([], error.at, error.message);
  }
  problems.throwIfAny();
  throw new Error('a file without a tree is a problem');
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
