// Writes docs/errors.md from the table in src/errors.ts; with --check it writes nothing and fails when they differ.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs/errors.md');

const FAULTS = [
  ['client', 'The request', 'Something about the request, the token or the rate of requests has to change.'],
  ['gateway', 'The gateway', 'The gateway cannot serve the request, or not now.'],
  [
    'upstream',
    'The upstream',
    'A server behind the gateway failed. In-band on the endpoint: HTTP 200 with an error body.',
  ],
];

const INTRODUCTION = `# Errors

<!-- Written by \`npm run generate\` from src/errors.ts. -->

Every refusal is a JSON-RPC error with \`data: { code, retryable, upstream?, correlationId }\`. Match on \`data.code\`: sentences may change, numbers are shared.
*HTTP* is the status on the MCP endpoint. *Retry* says whether the same request can succeed later. \`correlationId\` is in the gateway's log.
`;

/** The page for a table of errors. */
export function errorsPage(errors) {
  const sections = FAULTS.map(([source, title, text]) => {
    const rows = Object.entries(errors)
      .filter(([, row]) => row.source === source)
      .map(([code, row]) => {
        return `| \`${code}\` | ${row.status} | ${row.rpc} | ${row.retryable ? 'yes' : 'no'} | ${row.sentence} |`;
      });
    return [
      `## ${title}`,
      '',
      text,
      '',
      '| code | HTTP | JSON-RPC | retry | meaning |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
    ].join('\n');
  });
  return `${[INTRODUCTION, ...sections].join('\n')}\n`.replaceAll('\n## ', '\n\n## ').replaceAll('\n\n\n', '\n\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { ERRORS } = await import(pathToFileURL(join(root, 'dist/src/errors.js')).href);
  const wanted = errorsPage(ERRORS);
  if (!process.argv.includes('--check')) {
    writeFileSync(page, wanted);
  } else if (readFileSync(page, 'utf8') !== wanted) {
    console.error('docs/errors.md differs from src/errors.ts; run: npm run generate');
    process.exitCode = 1;
  }
}
