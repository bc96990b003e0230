// Checks the Dockerfile where no container engine runs:
//   node scripts/check-dockerfile.mjs             paths, commands and description of the image
//   node scripts/check-dockerfile.mjs --replay    also replays its COPY and RUN lines in a temporary folder with this
//                                                 machine's Node, starts the result and calls a tool through it
// It cannot check the base image, its packages and the user, which need an engine.

import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from './child.mjs';
import { copyParts, execForm, isIgnored, parseDockerfile, stagesOf } from './dockerfile.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Programs of the base image that RUN lines may use. */
const BASE_PROGRAMS = ['apt-get', 'find', 'node', 'npm', 'rm', 'test'];

/** The mistakes in the Dockerfile that can be found without running it, one sentence each. */
export function problemsOf(source, ignoreFile, scripts) {
  const stages = stagesOf(parseDockerfile(source));
  const problems = [];
  const complain = ({ line }, sentence) => problems.push(`Dockerfile:${line}: ${sentence}`);
  const known = [];
  for (const stage of stages) {
    for (const instruction of stage.instructions) {
      if (instruction.name === 'COPY') checkCopy(instruction, known, ignoreFile, complain);
      if (instruction.name === 'RUN') checkRun(instruction, scripts, complain);
    }
    known.push(stage.name);
  }
  const last = stages.at(-1).instructions;
  const one = (name) => last.findLast((instruction) => instruction.name === name);
  for (const name of ['USER', 'STOPSIGNAL', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD', 'EXPOSE', 'WORKDIR']) {
    if (one(name) === undefined) problems.push(`Dockerfile: the image has no ${name}`);
  }
  if (/^(root|0)\b/.test(one('USER')?.text ?? '')) complain(one('USER'), 'the image runs as root');
  if (one('STOPSIGNAL') && one('STOPSIGNAL').text !== 'SIGTERM') complain(one('STOPSIGNAL'), 'SIGTERM is what drains');
  for (const name of ['ENTRYPOINT', 'HEALTHCHECK']) {
    const instruction = one(name);
    if (instruction === undefined) continue;
    const [, script] = execForm(instruction, instruction.text.replace(/^.*?CMD\s+/, ''));
    if (!existsSync(join(root, script))) complain(instruction, `${script} does not exist`);
  }
  return problems;
}

function checkCopy(instruction, knownStages, ignoreFile, complain) {
  const { from, sources } = copyParts(instruction);
  if (from !== null) {
    if (!knownStages.includes(from)) complain(instruction, `there is no earlier stage ${from}`);
    return;
  }
  for (const path of sources) {
    if (!existsSync(join(root, path))) complain(instruction, `${path} does not exist`);
    else if (isIgnored(path, ignoreFile)) complain(instruction, `${path} is left out by .dockerignore`);
  }
}

function checkRun(instruction, scripts, complain) {
  for (const command of instruction.text.split('&&').map((part) => part.trim())) {
    const [program, verb, name] = command.split(/\s+/);
    if (/^\w+=/.test(program)) continue;
    if (!BASE_PROGRAMS.includes(program)) complain(instruction, `${program} is not part of the base image`);
    if (program === 'npm' && verb === 'run' && !(name in scripts)) complain(instruction, `there is no script ${name}`);
  }
}

/**
 * Builds the folders of all stages below `base` and gives the last one's root folder, working folder and command.
 * Absolute paths of the image become paths below the stage's root folder.
 */
async function replay(source, ignoreFile, base) {
  const roots = new Map();
  let image;
  for (const stage of stagesOf(parseDockerfile(source))) {
    const stageRoot = join(base, stage.name);
    roots.set(stage.name, stageRoot);
    image = { root: stageRoot, workdir: '/', env: {}, entrypoint: [], command: [], health: [] };
    for (const instruction of stage.instructions) {
      if (instruction.name === 'WORKDIR') {
        image.workdir = instruction.text;
        mkdirSync(stageRoot + image.workdir, { recursive: true });
      } else if (instruction.name === 'ENV') {
        const [name, value] = instruction.text.split('=');
        image.env[name] = value;
      } else if (instruction.name === 'COPY') {
        copy(instruction, image, roots, ignoreFile);
      } else if (instruction.name === 'RUN') {
        await run(instruction, image);
      } else if (instruction.name === 'ENTRYPOINT') {
        image.entrypoint = execForm(instruction);
      } else if (instruction.name === 'CMD') {
        image.command = execForm(instruction);
      } else if (instruction.name === 'HEALTHCHECK') {
        image.health = execForm(instruction, instruction.text.replace(/^.*?CMD\s+/, ''));
      }
    }
  }
  return image;
}

function copy(instruction, image, roots, ignoreFile) {
  const { from, sources, destination } = copyParts(instruction);
  const into = destination.startsWith('/') ? image.root + destination : join(image.root + image.workdir, destination);
  for (const path of sources) {
    const origin = from === null ? join(root, path) : roots.get(from) + path;
    if (!existsSync(origin)) throw new Error(`Dockerfile:${instruction.line}: ${path} was not made by stage ${from}`);
    const target = sources.length > 1 || destination.endsWith('/') ? join(into, basename(path)) : into;
    const wanted = (file) => from !== null || !isIgnored(file.slice(root.length + 1), ignoreFile);
    cpSync(origin, target, { recursive: true, filter: wanted, verbatimSymlinks: true });
  }
}

async function run(instruction, image) {
  // System packages are not installed; the programs they provide must be on this machine.
  if (instruction.text.startsWith('apt-get')) return;
  const code = await runProgram('sh', ['-c', `set -e; ${instruction.text}`], {
    cwd: image.root + image.workdir,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...image.env },
  });
  if (code !== 0)
    throw new Error(`Dockerfile:${instruction.line}: the command ended with ${code}: ${instruction.text}`);
}

/** The addon of this checkout, if it is current: compiling it again takes half a minute and checks nothing more. */
function lendAddon(base) {
  const made = join(root, 'native/build');
  const target = join(base, 'build/app/native/build');
  if (existsSync(join(made, 'stamp.txt'))) cpSync(made, target, { recursive: true });
}

/** Starts what the image would run, on free ports, and uses it once. */
async function use(image) {
  const inside = (word) => (word.startsWith('/') ? image.root + word : word);
  const token = 'a-token-for-the-replay-of-the-image';
  const configFile = inside(image.command.find((word) => word.startsWith('/etc/')));
  writeFileSync(configFile, readFileSync(configFile, 'utf8').replaceAll('/app/', `${image.root}/app/`));
  const [program, ...words] = [...image.entrypoint, ...image.command.map(inside)];
  const args = [...words, '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'];
  const child = spawn(program === 'node' ? process.execPath : program, args, {
    cwd: image.root + image.workdir,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...image.env, SWITCHYARD_TOKEN: token },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const origin = await listening(child);
    const health = await runProgram(process.execPath, image.health.slice(1), {
      cwd: image.root + image.workdir,
      env: { ...process.env, SWITCHYARD_HEALTH_URL: `${origin}/health` },
    });
    if (health !== 0) throw new Error(`the health check ended with ${health}`);
    await callTool(`${origin}/mcp`, token);
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.on('exit', resolve));
    if (code !== 0) throw new Error(`the image ended with ${code} after SIGTERM`);
  } finally {
    child.kill('SIGKILL');
  }
}

function listening(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`the image does not listen after 30 s: ${text}`)), 30_000);
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      const found = /^switchyard listening on (http:\/\/\S+?)\/mcp/m.exec(text);
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[1]);
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the image ended with ${code}: ${text}`));
    });
  });
}

async function callTool(url, token) {
  const name = 'notes__list_notes';
  const version = '2026-07-28';
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${token}`,
      'mcp-protocol-version': version,
      'mcp-method': 'tools/call',
      'mcp-name': name,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {}, _meta } }),
  });
  const text = await response.text();
  if (response.status !== 200 || !text.includes('welcome')) throw new Error(`${name}: ${response.status} ${text}`);
}

const source = readFileSync(join(root, 'Dockerfile'), 'utf8');
const ignoreFile = readFileSync(join(root, '.dockerignore'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = problemsOf(source, ignoreFile, scripts);
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exit(1);
  console.log('Dockerfile: every path and command is there');
  if (process.argv.includes('--replay')) {
    const base = mkdtempSync(join(tmpdir(), 'switchyard-image-'));
    try {
      lendAddon(base);
      await use(await replay(source, ignoreFile, base));
      console.log('Dockerfile: the image starts, is healthy, serves a call and drains');
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  }
}
