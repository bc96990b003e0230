/** The example of docs/pinning.md does what the page says. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { ERRORS } from '../../src/errors.js';
import { packageRoot } from '../../src/package-root.js';
import { runHere } from '../cli/support.js';
import { AFTER, BEFORE, listingServer } from '../support/pinned-tools.js';
import { tempFolder } from '../support/process.js';

const PAGE = readFileSync(join(packageRoot, 'docs/pinning.md'), 'utf8');

test('docs/pinning.md: the example prints what it says', async (scope) => {
  const cwd = await tempFolder(scope);
  const config = parse(/```yaml\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? '');
  config.mcpServers.notes = listingServer(join(cwd, 'tools.json'), BEFORE);
  writeFileSync(join(cwd, 'switchyard.yaml'), stringify(config));
  const steps = [...PAGE.matchAll(/^\$ switchyard (.+)\n((?:(?!```|\$ ).*\n)*)/gm)];
  assert.equal(steps.length, 3);
  for (const [index, [, command = '', output]] of steps.entries()) {
    if (index === 2) listingServer(join(cwd, 'tools.json'), AFTER);
    const { code, stdout, stderr } = await runHere(command.split(' '), { cwd });
    assert.equal(`${stdout}${stderr}`, output);
    assert.equal(code, index === 2 ? 1 : 0);
  }
  const message = ERRORS.GW_TOOL_NOT_APPROVED.sentence.replace('The tool', 'The tool "notes__read_note"');
  assert.ok(PAGE.includes(JSON.stringify(message)));

  const again = await runHere(['lock'], { cwd });
  assert.equal(again.code, 0);
  assert.match(
    again.stdout,
    /^renamed {2}notes:remove_note, was drop_note\nswitchyard\.lock\.json holds 4 tools, of 1 server\.\n$/m,
  );
  assert.equal((await runHere(['lock', '--check'], { cwd })).code, 0);
});
