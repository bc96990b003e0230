/** Variables that a child inherits from the gateway; none that may hold a secret. */
const INHERITED = ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER', 'LANG', 'TZ', 'TMPDIR'] as const;

/**
 * The whole environment of a stdio child: a few plain variables of `parent`, its locale, and what is configured.
 * Values that bash exports for functions (they start with `()`) are left out.
 */
export function childEnvironment(
  parent: NodeJS.ProcessEnv,
  configured: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const name of Object.keys(parent)) {
    const value = parent[name];
    if (value === undefined || value.startsWith('()')) continue;
    if ((INHERITED as readonly string[]).includes(name) || name.startsWith('LC_')) environment[name] = value;
  }
  for (const [name, value] of Object.entries(configured)) environment[name] = value;
  return environment;
}
