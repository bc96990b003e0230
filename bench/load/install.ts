import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';

/** The relays that the gateway is measured against, in the versions that the figures belong to. */
export const PEERS = { 'mcp-proxy': '6.7.19', '@civic/passthrough-mcp-server': '0.12.1' } as const;

const PEER_FOLDER = join(packageRoot, '.cache/bench-peers');

function onPath(command: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin'];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, command)));
}

/** Installs wrk and nginx from the distribution when they are missing (Debian and Ubuntu, as root). */
export function installTools(log: (line: string) => void): void {
  const tools: readonly (readonly [command: string, name: string])[] = [
    ['wrk', 'wrk'],
    ['nginx', 'nginx-light'],
  ];
  const missing = tools.filter(([command]) => !onPath(command));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  const line = `apt-get install -y ${packages.join(' ')}`;
  if (process.getuid?.() !== 0) throw new Error(`${packages.join(' and ')} missing; run: sudo ${line}`);
  log(`installing ${packages.join(' and ')} (${line})`);
  execFileSync('apt-get', ['install', '-y', ...packages], {
    stdio: 'ignore',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/** Installs the peers, each pinned, into the cache folder unless they are installed. */
export function installPeers(log: (line: string) => void): void {
  const peers = Object.entries(PEERS);
  const areInstalled = peers.every(([name, version]) => {
    const manifest = join(PEER_FOLDER, 'node_modules', name, 'package.json');
    if (!existsSync(manifest)) return false;
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version === version;
  });
  if (areInstalled) return;
  log(`installing ${peers.map(([name, version]) => `${name}@${version}`).join(', ')} into .cache/bench-peers`);
  mkdirSync(PEER_FOLDER, { recursive: true });
  writeFileSync(join(PEER_FOLDER, 'package.json'), '{"private":true}\n');
  const specs = peers.map(([name, version]) => `${name}@${version}`);
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', ...specs], {
    cwd: PEER_FOLDER,
    stdio: 'ignore',
  });
}

/** Path of a file of an installed peer. */
export function peerFile(name: keyof typeof PEERS, file: string): string {
  return join(PEER_FOLDER, 'node_modules', name, file);
}
