import type { KnownSecret } from '../../secrets/show.js';
import type { LoadedConfig } from '../loaded.js';
import { type ConfigPath, Problems } from '../problems.js';

/** Most request headers that the rules of one configuration read. */
const MAX_ATTRIBUTES = 32;
/** Names that accept drops or that carry credentials, which rules must not compare. */
const UNREADABLE: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/** Why rules cannot read a header of that lower-case name; null = they can. */
function headerProblem(name: string): string | null {
  if (!/^[!#$%&'*+.^`|~0-9a-z-]{1,128}$/.test(name)) {
    return 'must be the name of an HTTP header; names with "_" are dropped by the gateway';
  }
  return UNREADABLE.has(name) ? 'is a header with credentials; use "auth" and match its principals or scopes' : null;
}

/** Shared by the steps of one compilation: the configuration, its problems and its secrets. */
export class Compilation {
  readonly loaded: LoadedConfig;
  readonly problems: Problems;
  /** Those of the file, and those that the steps derive or read from other files. */
  readonly secrets: KnownSecret[];
  /** See `Snapshot.attributes`. */
  readonly attributes: string[] = [];

  constructor(loaded: LoadedConfig) {
    this.loaded = loaded;
    this.secrets = [...loaded.secrets];
    this.problems = new Problems(loaded.file);
  }

  problem(path: ConfigPath, sentence: string): void {
    this.loaded.addProblem(this.problems, path, sentence);
  }

  /**
   * Has the values of a request header cross to the policy.
   *
   * @param path of the key that names the header
   * @returns its position in `Snapshot.attributes`
   */
  attribute(header: string, path: ConfigPath): number {
    const name = header.toLowerCase();
    const problem = headerProblem(name);
    if (problem !== null) this.problem(path, problem);
    const known = this.attributes.indexOf(name);
    if (known >= 0) return known;
    if (this.attributes.length === MAX_ATTRIBUTES) {
      this.problem(path, `is one header more than the ${MAX_ATTRIBUTES} that rules may read`);
    }
    return this.attributes.push(name) - 1;
  }

  /** Whether the file itself gives a value at `path`, as opposed to a default. */
  isWritten(path: ConfigPath): boolean {
    return this.loaded.isWritten(path);
  }
}
