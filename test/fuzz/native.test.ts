/**
 * The C++ scan under AddressSanitizer and UndefinedBehaviorSanitizer, for a short time; `npm run fuzz:native` does it
 * for longer. `SWITCHYARD_FUZZ_MS` is the time (default 1,500 ms), `SWITCHYARD_FUZZ_SEED` the seed.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { decoderKind } from '../../native/index.js';
import { packageRoot } from '../../src/package-root.js';
import { hasCompiler } from '../native/both.js';

test('the scan reads no byte outside its input, whichever kernel runs', () => {
  if (!hasCompiler) return assert.equal(decoderKind, 'typescript');
  const seconds = Number(process.env['SWITCHYARD_FUZZ_MS'] ?? 1500) / 1000;
  const seed = process.env['SWITCHYARD_FUZZ_SEED'] ?? '20260728';
  const { status, stdout, stderr } = spawnSync(join(packageRoot, 'scripts/fuzz-native.sh'), [String(seconds), seed], {
    encoding: 'utf8',
    // Compiled where nothing is cached, which takes far longer than the fuzzing.
    env: { ...process.env, SWITCHYARD_FUZZ_OPTIMIZE: '-O0' },
  });
  assert.equal(status, 0, stderr);
  const match = /(\d+) files and (\d+) inputs agreed in (.+) \(seed/.exec(stdout);
  assert.ok(match !== null, stdout);
  assert.ok(Number(match[1]) > 0 && Number(match[2]) > 0 && String(match[3]).includes('fallback'), stdout);
});
