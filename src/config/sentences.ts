/** Issues of the schema as sentences. Values are never quoted: they could be secrets. */
import type { z } from 'zod';
import type { ConfigPath } from './problems.js';

type Issue = z.core.$ZodIssue;

/** One problem. */
export interface Finding {
  readonly path: ConfigPath;
  readonly sentence: string;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/** One finding for each problem; a union is reported by the alternative that fits best. */
export function findings(issues: readonly Issue[], base: ConfigPath = []): Finding[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...(issue.path as (string | number)[])];
    if (issue.code === 'invalid_union' && issue.errors.length > 0) return unionFindings(issue.errors, path);
    return [{ path, sentence: sentenceOf(issue) }];
  });
}

function unionFindings(errors: readonly (readonly Issue[])[], path: ConfigPath): Finding[] {
  const mismatch = (branch: readonly Issue[]): boolean =>
    branch.some(
      (issue) => issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value'),
    );
  const near = errors.find((branch) => !mismatch(branch));
  if (near !== undefined) return findings(near, path);
  const expected = errors.flatMap((branch) => branch.flatMap(expectations));
  return [{ path, sentence: `must be ${orList([...new Set(expected)])}` }];
}

function expectations(issue: Issue): string[] {
  if (issue.code === 'invalid_type') return [KINDS[issue.expected] ?? issue.expected];
  if (issue.code === 'invalid_value') return issue.values.map((value) => JSON.stringify(value));
  if (issue.code === 'invalid_union') return issue.errors.flatMap((branch) => branch.flatMap(expectations));
  return [];
}

function orList(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? 'something else';
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function sentenceOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined && issue.message.endsWith('received undefined')
        ? `is missing: it must be ${KINDS[issue.expected] ?? issue.expected}`
        : `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${orList(issue.values.map((value) => JSON.stringify(value)))}`;
    case 'too_small':
      return `must be ${bound(issue.origin, issue.inclusive !== false ? 'at least' : 'more than', issue.minimum)}`;
    case 'too_big':
      return `must be ${bound(issue.origin, issue.inclusive !== false ? 'at most' : 'less than', issue.maximum)}`;
    case 'invalid_format':
      return issue.format === 'url' ? 'must be a URL' : 'has characters that are not allowed here, or too many';
    case 'invalid_union':
      return issue.discriminator === undefined ? 'has the wrong type' : `needs a known "${issue.discriminator}"`;
    case 'unrecognized_keys':
      return `has unknown keys`;
    default:
      return 'is not valid';
  }
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  if (origin === 'string')
    return limit === 1 && relation === 'at least' ? 'not empty' : `${relation} ${limit} characters long`;
  if (origin === 'array')
    return limit === 1 && relation === 'at least' ? 'a list that is not empty' : `a list of ${relation} ${limit} items`;
  return `${relation} ${limit}`;
}
