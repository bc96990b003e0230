/**
 * Variables in strings: `${VAR}`, `${VAR:-default}` (used when VAR is unset or empty), `$${` for a literal `${`.
 * The forms of editors are accepted too: `${env:VAR}`, `${input:id}` (read from the variable
 * whose name is the id in capitals), `${userHome}`, `${workspaceFolder}`, `${workspaceFolderBasename}`,
 * `${pathSeparator}` and `${/}`.
 */
import { homedir } from 'node:os';
import { basename, sep } from 'node:path';
import type { VariableRun } from '../secrets/show.js';

/** Where variables come from. */
export interface ExpandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The value of `${workspaceFolder}`. */
  readonly folder: string;
}

/** A text with its variables replaced. */
export interface Expansion {
  readonly text: string;
  /** Whether anything was replaced. */
  readonly changed: boolean;
  /** The parts of `text` that came from the environment, in order; defaults are part of the file. */
  readonly runs: readonly VariableRun[];
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MAX_DEPTH = 8;
const LITERAL = `write "$\${" for a literal "\${"`;

/** @throws Error with a sentence that names the variable, never a value. */
export function expand(text: string, context: ExpandContext): Expansion {
  if (!text.includes('${')) return { text, changed: false, runs: [] };
  const output = new Output();
  expandPart(text, context, output, 0);
  return { text: output.text, changed: true, runs: output.runs };
}

/** The text so far, and which parts of it came from variables. */
class Output {
  text = '';
  readonly runs: VariableRun[] = [];

  variable(name: string, value: string): void {
    const start = this.text.length;
    this.text += value;
    this.runs.push({ name, start, end: this.text.length });
  }
}

function expandPart(text: string, context: ExpandContext, output: Output, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error(`defaults of variables are nested deeper than ${MAX_DEPTH} levels`);
  let at = 0;
  for (;;) {
    const start = text.indexOf('${', at);
    if (start === -1) {
      output.text += text.slice(at);
      return;
    }
    if (start > at && text[start - 1] === '$') {
      output.text += `${text.slice(at, start - 1)}\${`;
      at = start + 2;
      continue;
    }
    const end = closing(text, start + 2);
    if (end === -1) throw new Error(`a "\${" has no "}"; ${LITERAL}`);
    output.text += text.slice(at, start);
    lookUp(text.slice(start + 2, end), context, output, depth);
    at = end + 1;
  }
}

/** Position of the brace that closes the variable whose content starts at `from`, or -1. */
function closing(text: string, from: number): number {
  let open = 1;
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith('${', at)) open += 1;
    else if (text[at] === '}') {
      open -= 1;
      if (open === 0) return at;
    }
  }
  return -1;
}

function lookUp(content: string, context: ExpandContext, output: Output, depth: number): void {
  const builtin = builtIn(content, context);
  if (builtin !== null) {
    output.text += builtin;
    return;
  }
  const split = content.indexOf(':-');
  const written = split === -1 ? content : content.slice(0, split);
  const name = variableName(written);
  if (name === null) {
    throw new Error(`a "\${...}" does not hold the name of a variable; ${LITERAL}`);
  }
  const value = Object.hasOwn(context.env, name) ? context.env[name] : undefined;
  if (split !== -1 && (value === undefined || value === '')) {
    expandPart(content.slice(split + 2), context, output, depth + 1);
    return;
  }
  if (value === undefined) {
    const hint = written.startsWith('input:') ? ` (an editor asks for it as "${written.slice(6)}")` : '';
    throw new Error(
      `the environment variable ${name}${hint} is not set; set it, or write \${${written}:-default} for a default`,
    );
  }
  output.variable(written, value);
}

function variableName(written: string): string | null {
  if (written.startsWith('input:')) {
    const id = written.slice('input:'.length);
    return /^[\w.-]{1,128}$/.test(id) ? id.toUpperCase().replace(/[^A-Z0-9_]/g, '_') : null;
  }
  const name = written.startsWith('env:') ? written.slice('env:'.length) : written;
  return NAME.test(name) && name.length <= 256 ? name : null;
}

function builtIn(content: string, context: ExpandContext): string | null {
  switch (content) {
    case 'userHome':
      return homedir();
    case 'workspaceFolder':
      return context.folder;
    case 'workspaceFolderBasename':
      return basename(context.folder);
    case 'pathSeparator':
    case '/':
      return sep;
    default:
      return null;
  }
}
