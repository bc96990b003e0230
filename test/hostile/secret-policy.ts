import type { Canaries } from './secret-places.js';

const host = (canary: string): string => `https://${canary}.example/`;

/** Credentials towards servers, views, the cache and logins with a variable at every place, once as one text and once in lists. */
export function policyTexts(canaries: Canaries): Record<string, unknown>[] {
  const at = canaries.at.bind(canaries);
  const auths = (place: string): object[] => {
    const client = { clientId: at(`${place}.clientId`), clientSecret: at(`${place}.clientSecret`) };
    const tokens = { tokenUrl: at(`${place}.tokenUrl`, host), ...client };
    const type = (name: string): string => at(`${place}.${name}`, (canary) => `urn:example:${canary}`);
    return [
      { type: 'bearer', credentials: { token: at(`${place}.credentials.token`) } },
      {
        type: 'basic',
        credentials: { username: at(`${place}.credentials.username`), password: at(`${place}.credentials.password`) },
      },
      { type: 'headers', headers: { 'X-A': at(`${place}.headers.*`) } },
      {
        type: 'clientCredentials',
        ...tokens,
        scopes: at(`${place}.scopes`),
        audience: at(`${place}.audience`),
        resource: at(`${place}.resource`, host),
      },
      {
        type: 'tokenExchange',
        ...tokens,
        scopes: [at(`${place}.scopes[]`)],
        subjectTokenType: type('subjectTokenType'),
        requestedTokenType: type('requestedTokenType'),
      },
      {
        type: 'oauth',
        clientMetadataUrl: at(`${place}.clientMetadataUrl`, (canary) => `${host(canary)}client.json`),
        redirectUrl: at(`${place}.redirectUrl`, (canary) => `http://127.0.0.1:9/${canary}`),
      },
    ];
  };
  const url = 'https://upstream.example/mcp';
  const own = auths('mcpServers.*.auth').map((auth, i) => [`a${i}`, { url, auth }]);
  const replicas = auths('mcpServers.*.endpoints[].auth').map((auth, i) => [`b${i}`, { endpoints: [{ url, auth }] }]);
  const bearer = { type: 'bearer', tokens: { ann: 'a-token-of-some-length' } };
  const view = (one: (key: string) => unknown, server: unknown): object => ({
    servers: server,
    ...Object.fromEntries(['tools', 'prompts', 'requiredScopes'].map((key) => [key, one(`views.*.${key}`)])),
    resources: one('views.*.resources'),
  });
  const list = (place: string): string[] => [at(`${place}[]`)];
  const path = canaries.published('mcpServers.*.path', '/short');
  return [
    {
      auth: bearer,
      mcpServers: Object.fromEntries([...own, ...replicas, ['short', { url, path }]]),
      views: { '/one': view((place) => at(place), canaries.published('views.*.servers', 'a0')) },
      cache: {
        tools: true,
        patterns: at('cache.patterns'),
        exclude: at('cache.exclude'),
        includeHeaders: canaries.published('cache.includeHeaders', 'X-A'),
      },
      logins: {
        folder: at('logins.folder', (canary) => `/nowhere/${canary}`),
        publicUrl: at('logins.publicUrl', (canary) => `https://${canary}.example`),
      },
    },
    {
      auth: bearer,
      mcpServers: { a0: { url } },
      views: { '/some': view(list, [canaries.published('views.*.servers[]', 'a0')]) },
      cache: {
        tools: true,
        patterns: list('cache.patterns'),
        exclude: list('cache.exclude'),
        includeHeaders: [canaries.published('cache.includeHeaders[]', 'X-A')],
      },
    },
  ];
}
