/** One named check; throws or rejects when it fails. */
export interface HealthCheck {
  readonly name: string;
  check(): Promise<void> | void;
}

export interface HealthAnswer {
  code: number;
  body: string;
}

/**
 * Answers `/healthz`, `/livez` and `/readyz` (apiserver/pkg/server/healthz): `ok`, or every check's line with
 * `verbose` and on failure. Reasons are withheld from the body: whoever asks may be anybody.
 */
export async function answerHealth(
  path: string,
  checks: readonly HealthCheck[],
  query: URLSearchParams,
  onFailure: (name: string, error: unknown) => void,
): Promise<HealthAnswer> {
  const [, endpoint = '', only] = path.split('/');
  const excluded = new Set(query.getAll('exclude'));
  const chosen = only === undefined ? checks : checks.filter(({ name }) => path === `/${endpoint}/${name}`);
  if (only !== undefined && chosen.length === 0) return { code: 404, body: '404 page not found\n' };
  const lines: string[] = [];
  let failed = false;
  for (const each of chosen) {
    const { name } = each;
    if (excluded.delete(name)) {
      lines.push(`[+]${name} excluded: ok\n`);
      continue;
    }
    try {
      await each.check();
      lines.push(`[+]${name} ok\n`);
    } catch (error) {
      failed = true;
      onFailure(name, error);
      lines.push(`[-]${name} failed: reason withheld\n`);
    }
  }
  if (excluded.size > 0) {
    const names = [...excluded].map((name) => JSON.stringify(name)).join(', ');
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names}\n`);
  }
  if (failed) return { code: 500, body: `${lines.join('')}${endpoint} check failed\n` };
  if (!query.has('verbose')) return { code: 200, body: 'ok' };
  return { code: 200, body: `${lines.join('')}${endpoint} check passed\n` };
}
