#!/usr/bin/env node
/** The command `switchyard`. */
import { flushOutput } from './console/print.js';
import { runCommandLine } from './run.js';

// A reader that closes the pipe (`switchyard validate x | head`) is no failure.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

const code = await runCommandLine(process.argv.slice(2));
await flushOutput();
process.exit(code);
