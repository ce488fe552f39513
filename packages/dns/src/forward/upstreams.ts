import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

export interface Upstream {
  /** IPv4 or IPv6 address. */
  host: string;
  port: number;
}

/** The `nameserver` lines of a resolv.conf, without those that would lead back to this server or are no address. */
export function readUpstreams(resolvConf: string, own: ReadonlySet<string>): Upstream[] {
  let text: string;
  try {
    text = readFileSync(resolvConf, 'utf8');
  } catch {
    return [];
  }
  const hosts = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] as string);
  return [...new Set(hosts)]
    .filter((host) => isIP(host) !== 0 && !own.has(host))
    .map((host) => ({ host, port: 53 }));
}
