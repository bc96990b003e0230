import { SignJWT } from 'jose';

/**
 * How much of the gateway is on:
 * `minimal` no policy at all; `full` JWT, scopes, rate limits and routes; `forced` as full, but every decision goes
 * through a worker (the front remembers none).
 */
export type GatewayVariant = 'minimal' | 'full' | 'forced';

/** Signs the tokens of a run only. */
const SECRET = 'a secret of the benchmarks, 32 bytes or more';
const ISSUER = 'https://issuer.example';
const AUDIENCE = 'https://gateway.example/mcp';

/** A rate that no run reaches: tokens are taken, no bucket is ever empty. */
const AMPLE = { rate: 10_000_000, burst: 10_000_000 };

/** The configuration file of one variant, upstream `bench`. */
export function gatewayConfig(
  variant: GatewayVariant,
  endpoint: Record<string, unknown>,
  workers: number,
): Record<string, unknown> {
  const base = {
    host: '127.0.0.1',
    port: 0,
    admin: false,
    workers,
    log: { level: 'error' },
    mcpServers: { bench: endpoint },
  };
  if (variant === 'minimal') return base;
  return {
    ...base,
    auth: { type: 'jwt', algorithms: ['HS256'], secret: SECRET, issuer: ISSUER, audience: AUDIENCE },
    rateLimits: { global: AMPLE, perClient: AMPLE, perTool: [{ tools: ['bench__*'], ...AMPLE }] },
    ...(variant === 'forced' ? { limits: { maxMemo: 0 } } : {}),
    routes: [
      // Routes that do not match come first: a real table is searched, not just entered.
      ...Array.from({ length: 20 }, (_, index) => ({ name: `other-${index}`, match: { tools: [`other${index}__*`] } })),
      { name: 'bench', match: { tools: ['bench__*'] }, servers: ['bench'], requiredScopes: ['tools:call'] },
    ],
  };
}

/** Tokens of `count` subjects, valid for some hours, with the scope that the route asks for. */
export function mintTokens(count: number): Promise<string[]> {
  const key = new TextEncoder().encode(SECRET);
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      new SignJWT({ scope: 'tools:list tools:call' })
        .setProtectedHeader({ alg: 'HS256' })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(`client-${index}`)
        .setIssuedAt()
        .setExpirationTime('6h')
        .sign(key),
    ),
  );
}
