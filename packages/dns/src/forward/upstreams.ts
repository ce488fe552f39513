import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ForwardConfig, UpstreamConfig } from '../corefile/config.ts';

/** The `nameserver` lines of a resolv.conf, without those that would lead back to this server or are no address. */
export function readUpstreams(resolvConf: string, own: ReadonlySet<string>): UpstreamConfig[] {
  let text: string;
  try {
    text = readFileSync(resolvConf, 'utf8');
  } catch {
    return [];
  }
  const hosts = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] as string);
  return [...new Set(hosts)]
    .filter((host) => isIP(host) !== 0 && !own.has(host))
    .map((host) => ({ host, port: 53, transport: 'dns', serverName: undefined }));
}

/** The servers of a `forward`, those of its files read anew. */
export function upstreamsOf(to: ForwardConfig['to'], own: ReadonlySet<string>): UpstreamConfig[] {
  return to.flatMap((target) => ('file' in target ? readUpstreams(target.file, own) : [target]));
}
