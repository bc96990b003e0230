#!/usr/bin/env node
// Exit code 0 when the gateway on this machine answers its health check, for HEALTHCHECK of a container image.
// SWITCHYARD_HEALTH_URL names another address than the default port's.

const url = process.env.SWITCHYARD_HEALTH_URL ?? 'http://127.0.0.1:8000/health';
try {
  const { ok, status } = await fetch(url, { signal: AbortSignal.timeout(2_500) });
  if (!ok) throw new Error(`HTTP ${status}`);
} catch (error) {
  console.error(`switchyard is not healthy: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
