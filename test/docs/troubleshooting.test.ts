/** docs/troubleshooting.md has a row for each reason that an endpoint can have, as the sources spell it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../src/package-root.js';
import { sourcesBelow } from '../support/sources.js';

const PAGE = readFileSync(join(packageRoot, 'docs/troubleshooting.md'), 'utf8');

/** The reasons of the page as patterns: words in capitals stand for anything, and what the upstream said may be missing. */
const ROWS = [...PAGE.matchAll(/^\| `([^`]+)` \|/gm)].map(([, text = '']) => {
  const [sentence = '', detail] = text.split(/: (?=(?:BODY|MESSAGE)$)/);
  const pattern = sentence.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\b[A-Z]{3,}\b/g, '.+');
  return new RegExp(`^(?:the upstream )?${pattern}${detail === undefined ? '' : '(?:: .+)?'}$`);
});

/** Calls whose argument is the reason of an endpoint, or becomes it. */
const MAKERS = [
  /new ControlError\(\s*'(?:closed|timeout|refused|http|rpc|invalid|unreachable)',\s*(['`])((?:(?!\1).)+)\1/g,
  /(?:#setReason|#end|setState|setUnavailable|#restart|#terminate|withExcerpt)\((?:'(?:GW_\w+|backoff|failed|ready)', )?(['`])((?:(?!\1).)+)\1/g,
  /(?:const (?:what|NOT_FOUND|BREAKER_OPEN|EVENT_TOO_LARGE|BUFFER_FULL) = |return |\? |: |exit = )(['`])((?:answered|cannot be started|ended|exited|closed|the circuit|the handshake failed|neither|an event|there was no room)(?:(?!\1).)*)\1/g,
];

/** Of subscriptions and of single requests, which are no reasons of an endpoint; `cannot be started (command ...)` is replaced by ENOENT. */
const NO_REASONS =
  /subscription|listen|no dedicated endpoint|no endpoint of|announce changes|being stopped|the connection ended$|has no list|command not found|^the upstream X$|^cannot be started: X$|^(?:closed|connecting|stopped|backoff|failed|ready)$/;

function reasonsOfSources(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of sourcesBelow('src/upstream', ['.ts'])) {
    const source = readFileSync(join(packageRoot, file), 'utf8');
    for (const maker of MAKERS) {
      for (const [, , text = ''] of source.matchAll(maker)) {
        const reason = text.replace(/\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g, 'X');
        if (reason !== 'X' && !NO_REASONS.test(reason)) found.set(reason, file);
      }
    }
  }
  return found;
}

describe('docs/troubleshooting.md', () => {
  const reasons = reasonsOfSources();

  it('has a row for each reason in the sources', () => {
    assert.ok(reasons.size >= 30, [...reasons.keys()].join('\n'));
    const missing = [...reasons].filter(([reason]) => !ROWS.some((row) => row.test(reason)));
    assert.deepEqual(missing, []);
  });

  it('has no row without a reason, and each says what to do', () => {
    const sentences = [...PAGE.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)];
    assert.equal(sentences.length, ROWS.length);
    for (const [, reason, advice = ''] of sentences) assert.ok(advice.length > 7, reason);
  });
});
