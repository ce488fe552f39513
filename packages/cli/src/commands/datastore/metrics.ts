import { get as getPlain, type IncomingMessage, type RequestOptions } from 'node:http';
import { get as getSecure } from 'node:https';
import { UsageError } from '../../options.ts';

const timeoutMs = 10_000;

/**
 * A server's metrics without their labels' variants: name → value (Prometheus' text format).
 *
 * @param endpoint `http://HOST:PORT`, `https://HOST:PORT`, `unix:///path` or `HOST:PORT`
 * @throws UsageError naming the endpoint and why it did not answer
 */
export async function fetchMetrics(
  endpoint: string,
  tls: { ca?: Buffer; cert?: Buffer; key?: Buffer },
): Promise<Map<string, number>> {
  const text = await fetchText(endpoint, tls);
  const metrics = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^([a-zA-Z_:][\w:]*) ([-+.\deE]+)$/.exec(line) ?? [];
    if (name !== undefined) metrics.set(name, Number(value));
  }
  return metrics;
}

function fetchText(endpoint: string, tls: { ca?: Buffer; cert?: Buffer; key?: Buffer }): Promise<string> {
  const [, socketPath] = /^unix:\/\/(\/.+)$/.exec(endpoint) ?? [];
  const hasTls = tls.ca !== undefined || tls.cert !== undefined;
  const url = /^https?:\/\//.test(endpoint) ? endpoint : `${hasTls ? 'https' : 'http'}://${endpoint}`;
  const isSecure = socketPath === undefined && url.startsWith('https:');
  const options: RequestOptions = { timeout: timeoutMs, agent: false, ...(isSecure && tls) };
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(
        new UsageError(
          `${endpoint} does not give its metrics: ${why}. Check the address and the certificates`,
        ),
      );
    const take = (response: IncomingMessage): void => {
      if (response.statusCode !== 200) return fail(`it answers ${response.statusCode} for /metrics`);
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (data: string) => (text += data));
      response.on('end', () => resolve(text));
      response.on('error', (error) => fail(error.message));
    };
    const request =
      socketPath === undefined
        ? (isSecure ? getSecure : getPlain)(new URL('/metrics', url), options, take)
        : getPlain({ ...options, socketPath, path: '/metrics' }, take);
    request.on('timeout', () => request.destroy(new Error(`no answer in ${timeoutMs / 1000} s`)));
    request.on('error', (error) => fail(error.message || String((error as NodeJS.ErrnoException).code)));
  });
}
