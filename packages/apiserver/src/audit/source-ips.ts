import { isIP } from 'node:net';

/** Where a request came from: forwarders it names, then the peer itself (apimachinery/pkg/util/net, SourceIPs). */
export function sourceIps(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  remote: string | undefined,
): string[] {
  const text = (name: string): string => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(',') : (value ?? '');
  };
  const found = text('x-forwarded-for')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => isIP(part) !== 0);
  const real = text('x-real-ip').trim();
  if (isIP(real) !== 0 && !found.includes(real)) found.push(real);
  const peer = (remote ?? '').replace(/^::ffff:(?=\d+\.)/, '');
  if (isIP(peer) !== 0 && found.at(-1) !== peer) found.push(peer);
  return found;
}
