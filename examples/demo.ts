import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How long the HTTP example may take to start listening, in milliseconds. */
const START_TIMEOUT_MS = 15_000;

const program = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

/** The example servers of a demo, and the configuration that puts a gateway in front of them. */
export interface Demo {
  /** A configuration in the shape of a configuration file. */
  readonly config: { readonly mcpServers: Record<string, { command: string; args: string[] } | { url: string }> };
  /** Ends what `startDemoServers` started. */
  close(): Promise<void>;
}

/**
 * Starts the example that listens on HTTP (on a free loopback port) and describes both.
 * The stdio example is started by the gateway itself. The HTTP one ends with this process, even after `kill -9`:
 * it watches the pipe that this process holds.
 * @throws when the example does not start listening in 15 seconds.
 */
export async function startDemoServers(): Promise<Demo> {
  const weather = spawn(process.execPath, [program('weather-server')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PORT: '0', EXIT_WITH_PARENT: '1' },
  });
  const lines = createInterface({ input: weather.stdout });
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the weather example did not start within ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    weather.once('exit', (code) => reject(new Error(`the weather example ended with exit code ${code}`)));
    weather.once('error', reject);
    lines.on('line', (line) => {
      const found = /^weather server on (http:\S+)$/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[1] as string);
    });
  }).catch((error: unknown) => {
    weather.kill();
    throw error;
  });
  return {
    config: {
      mcpServers: {
        notes: { command: process.execPath, args: [program('notes-server')] },
        weather: { url },
      },
    },
    async close() {
      if (weather.exitCode !== null || weather.signalCode !== null) return;
      const ended = once(weather, 'exit');
      weather.stdin.end();
      weather.kill();
      await ended;
    },
  };
}
