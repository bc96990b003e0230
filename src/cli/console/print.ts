/** How the command line writes: results on standard output, everything else on standard error. */
import type { WriteStream } from 'node:tty';
import { maskShapes } from '../../secrets/show.js';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

/** The styles that are used. */
export type Style = keyof typeof CODES;

/** Whether `stream` gets colours: on a terminal, unless NO_COLOR is set (https://no-color.org). */
export function hasColour(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv = process.env): boolean {
  return (stream as WriteStream).isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

function styled(stream: NodeJS.WriteStream, style: Style, text: string): string {
  return hasColour(stream) ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text;
}

/** Styles text for standard output. */
export function style(name: Style, text: string): string {
  return styled(process.stdout, name, text);
}

/** One line on standard output. */
export function printLine(text = ''): void {
  process.stdout.write(`${text}\n`);
}

/** One line on standard error, which is no result; a JSON line where the log is JSON. */
export function printNote(text: string, json = false): void {
  const line = json ? JSON.stringify({ level: 'info', time: new Date().toISOString(), msg: text }) : text;
  process.stderr.write(`${line}\n`);
}

/** Masks secrets in a text. */
interface TextMask {
  mask(text: string): string;
}

let secrets: TextMask | null = null;

function masked(text: string): string {
  return maskShapes(secrets?.mask(text) ?? text);
}

/** Masks the secrets of a configuration in all further problems and warnings. */
export function maskWith(configured: TextMask): void {
  secrets = configured;
}

/** One problem: `switchyard: sentence`. */
export function printError(sentence: string): void {
  process.stderr.write(`${styled(process.stderr, 'red', 'switchyard:')} ${masked(sentence)}\n`);
}

/** One warning; a JSON line where the log is JSON. */
export function printWarning(text: string, json = false): void {
  const sentence = masked(text);
  if (json)
    process.stderr.write(`${JSON.stringify({ level: 'warn', time: new Date().toISOString(), msg: sentence })}\n`);
  else process.stderr.write(`${styled(process.stderr, 'yellow', 'warning:')} ${sentence}\n`);
}

/** Rows of cells in columns that line up, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    `  ${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  ')}`.trimEnd(),
  );
}

/** Resolves when all output is written, so that the process can end. */
export async function flushOutput(): Promise<void> {
  const drained = (stream: NodeJS.WriteStream): Promise<void> =>
    new Promise((resolve) => {
      if (stream.destroyed) resolve();
      else stream.write('', () => resolve());
    });
  await Promise.all([drained(process.stdout), drained(process.stderr)]);
}
