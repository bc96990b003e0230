// Writes the commands and their options into docs/cli.md, from the tables in src/cli; with --check it writes nothing and
// fails when they differ. The text between the tables is written by hand.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs/cli.md');

/** The lines between the marks, by the name in the marks. */
function partsOf(commands) {
  const forms = commands.flatMap(({ name, usage, summary }) =>
    usage.map((form, i) => [`switchyard ${name} ${form}`, i === 0 ? summary : '']),
  );
  const width = Math.max(...forms.map(([form]) => form.length));
  const lines = forms.map(([form, summary]) => `${form.padEnd(width)}   ${summary}`.trimEnd());
  return {
    commands: ['```', ...lines, 'switchyard --version', 'switchyard COMMAND --help', '```'],
    ...Object.fromEntries(commands.map(({ name, options }) => [name, optionTable(options)])),
  };
}

function optionTable(options) {
  const rows = Object.entries(options).map(([name, { short, value, help }]) => {
    const long = value === undefined ? `--${name}` : `--${name} ${value}`;
    return `| ${short === undefined ? '' : `\`-${short}\`, `}\`${long}\` | ${help.replaceAll('|', '\\|')} |`;
  });
  return ['| Option | Meaning |', '| --- | --- |', ...rows];
}

/** The page `text` with the parts that come from `commands`. */
export function cliPage(text, commands) {
  const parts = partsOf(commands);
  for (const { name, options } of commands) {
    if (Object.keys(options).length > 0 && !text.includes(`<!-- cli:${name}:start -->`)) {
      throw new Error(`docs/cli.md has no part "${name}" for the options of that command`);
    }
  }
  return text.replaceAll(/(<!-- cli:(\w+):start -->\n)[\s\S]*?(<!-- cli:\2:end -->)/g, (_, start, name, end) => {
    if (parts[name] === undefined) throw new Error(`docs/cli.md has a part "${name}", but there is no such command`);
    return `${start}${parts[name].join('\n')}\n${end}`;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { COMMANDS } = await import(pathToFileURL(join(root, 'dist/src/cli/commands.js')).href);
  const before = readFileSync(page, 'utf8');
  const wanted = cliPage(before, COMMANDS);
  if (!process.argv.includes('--check')) {
    writeFileSync(page, wanted);
  } else if (before !== wanted) {
    console.error('docs/cli.md differs from the tables in src/cli; run: npm run generate');
    process.exitCode = 1;
  }
}
