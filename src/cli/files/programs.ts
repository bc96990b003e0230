import type { LoadedConfig } from '../../config/loaded.js';
import { type ConfigPath, Problems } from '../../config/problems.js';
import type { Snapshot } from '../../config/snapshot/index.js';
import { findProgram } from '../../upstream/stdio/program.js';

/** Where the endpoint of a server stands in the configuration. */
export function endpointPath(loaded: LoadedConfig, server: string, endpoint: number): ConfigPath {
  const entry = ['mcpServers', server];
  return loaded.config.mcpServers[server]?.endpoints === undefined ? entry : [...entry, 'endpoints', endpoint];
}

/** Checks that the programs of all enabled stdio servers exist. @throws ConfigError with a problem for each that does not */
export function checkPrograms(loaded: LoadedConfig, snapshot: Snapshot): void {
  const problems = new Problems(loaded.file);
  for (const { name, endpoints } of snapshot.servers) {
    endpoints.forEach((endpoint, index) => {
      if (endpoint.transport !== 'stdio') return;
      const program = findProgram(endpoint);
      if (!('problem' in program)) return;
      loaded.addProblem(problems, [...endpointPath(loaded, name, index), 'command'], program.problem);
    });
  }
  problems.throwIfAny();
}
