import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';
import { inTurn } from '../statistics.js';
import { type Client, callBody, headersOf } from './client.js';

/** What wrk saw in one run. */
export interface WrkResult {
  readonly requests: number;
  readonly durationUs: number;
  readonly bytes: number;
  readonly non2xx: number;
  /** Connect, read, write and timeout errors. */
  readonly socketErrors: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** Fewest prepared requests: more than connections, so that no two calls in flight have one id. */
const FEWEST = 1024;

/** Writes the file of requests that call.lua reads: clients and tools in turn, every id its own. */
export function writeRequests(file: string, clients: readonly Client[], tools: readonly string[]): void {
  const count = Math.max(FEWEST, clients.length, tools.length);
  const parts: string[] = [];
  for (let index = 0; index < count; index++) {
    for (const [name, value] of Object.entries(headersOf(inTurn(clients, index), true))) {
      parts.push(`${name}: ${value}\n`);
    }
    parts.push(`\n${callBody(100_000 + index, inTurn(tools, index))}\n`);
  }
  writeFileSync(file, parts.join(''));
}

/** Runs wrk with one thread. Rejects when it fails to run. */
export function runWrk(url: string, requests: string, connections: number, seconds: number): Promise<WrkResult> {
  const script = join(packageRoot, 'bench/load/call.lua');
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url, '--', requests];
  return new Promise((resolve, reject) => {
    const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (part: Buffer) => {
      output += part.toString();
    });
    child.stderr.on('data', (part: Buffer) => {
      output += part.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => {
      const line = output.split('\n').find((each) => each.startsWith('{"requests"'));
      if (code !== 0 || line === undefined) reject(new Error(`wrk ended with ${code}: ${output}`));
      else resolve(JSON.parse(line) as WrkResult);
    });
  });
}
