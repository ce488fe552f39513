import { isIP } from 'node:net';
import type { HostsConfig } from '../config.ts';
import { CorefileError } from '../error.ts';
import type { Directive } from '../syntax.ts';
import {
  duration,
  expectArgs,
  fallthroughOf,
  integer,
  nameOf,
  onlyArg,
  unknownProperty,
  zonesOr,
} from '../values.ts';

type Draft = { -readonly [Key in keyof HostsConfig]: HostsConfig[Key] };

/** CoreDNS: plugin/hosts. Without a FILE it reads /etc/hosts only when nothing stands in the block. */
export function readHosts(directive: Directive, serverZones: readonly string[]): HostsConfig {
  const [file, ...zones] = directive.args;
  const entries: Array<{ address: string; names: string[] }> = [];
  const draft: Draft = {
    zones: zonesOr(zones, directive.line, serverZones),
    file,
    entries,
    ttlSeconds: 3600,
    reverse: true,
    reloadMs: 5000,
    fallthrough: undefined,
  };
  for (const option of directive.block ?? [])
    if (isIP(option.name) !== 0) {
      if (option.args.length === 0) throw new CorefileError(option.line, `hosts: ${option.name} has no name`);
      entries.push({ address: option.name, names: option.args.map((name) => nameOf(name, option.line)) });
    } else readOption(option, draft);
  if (entries.length === 0) draft.file ??= '/etc/hosts';
  return draft;
}

function readOption(option: Directive, draft: Draft): void {
  switch (option.name) {
    case 'ttl':
      draft.ttlSeconds = integer(onlyArg(option), option, 1, 65535);
      break;
    case 'no_reverse':
      expectArgs(option, 0);
      draft.reverse = false;
      break;
    case 'reload':
      draft.reloadMs = duration(onlyArg(option), option);
      break;
    case 'fallthrough':
      draft.fallthrough = fallthroughOf(option);
      break;
    default:
      throw unknownProperty('hosts', option);
  }
}
