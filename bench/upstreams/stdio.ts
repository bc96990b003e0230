/**
 * A stdio MCP server that does as little as a correct one can: reads all lines that have arrived, answers them
 * with one write.
 *
 * `node stdio.js [--tools 10] [--era legacy|modern|both]`
 */
import { parseArgs } from 'node:util';
import { createAnswers, type Era } from './answers.js';

const { values } = parseArgs({
  options: { tools: { type: 'string', default: '10' }, era: { type: 'string', default: 'legacy' } },
});
const answer = createAnswers({ era: values.era as Era, tools: Number(values.tools) });
const NEWLINE = 10;
let rest: Buffer | undefined;

process.stdin.on('data', (arrived: Buffer) => {
  const chunk = rest === undefined ? arrived : Buffer.concat([rest, arrived]);
  let answers = '';
  let start = 0;
  for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
    const text = end > start ? answer(chunk.toString('utf8', start, end)) : undefined;
    if (text !== undefined) answers += `${text}\n`;
    start = end + 1;
  }
  rest = start < chunk.length ? chunk.subarray(start) : undefined;
  if (answers !== '') process.stdout.write(answers);
});
process.stdin.on('end', () => process.exit(0));
