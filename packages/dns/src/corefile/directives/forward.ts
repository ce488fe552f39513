import { isIP } from 'node:net';
import type { ForwardConfig, UpstreamConfig } from '../config.ts';
import { CorefileError, type CorefileProblem } from '../error.ts';
import type { Directive } from '../syntax.ts';
import {
  duration,
  expectArgs,
  integer,
  nameOf,
  oneOf,
  onlyArg,
  rcodeNumber,
  unknownProperty,
  zonesOf,
} from '../values.ts';

type Draft = { -readonly [Key in keyof ForwardConfig]: ForwardConfig[Key] };

/** As many as CoreDNS takes. */
const maxUpstreams = 15;
/** Questions under way where no max_concurrent is given: each has a socket, and a flood must not use them all up. */
export const defaultMaxConcurrent = 512;

/** CoreDNS: plugin/forward. */
export function readForward(directive: Directive, warnings: CorefileProblem[]): ForwardConfig {
  expectArgs(directive, 2, maxUpstreams + 1);
  const { args, line } = directive;
  const draft: Draft = {
    line,
    from: zonesOf(args[0] as string, line)[0] as string,
    except: [],
    to: args.slice(1).map((text) => target(text, line)),
    policy: 'random',
    forceTcp: false,
    preferUdp: false,
    maxConcurrent: defaultMaxConcurrent,
    expireMs: 10_000,
    readTimeoutMs: 2000,
    maxFails: 2,
    healthCheck: { intervalMs: 500, recursionDesired: true, domain: '' },
    failFast: false,
    failover: [],
    next: [],
    tls: { certificateFile: undefined, keyFile: undefined, caFile: undefined },
  };
  let serverName: string | undefined;
  for (const option of directive.block ?? [])
    if (option.name === 'tls_servername') serverName = nameOf(onlyArg(option), option.line);
    else readOption(option, draft, warnings);
  draft.to = draft.to.map((server) => withServerName(server, serverName, line));
  for (const server of draft.to)
    if ('host' in server && server.transport === 'tls' && server.serverName === undefined)
      warnings.push({
        line,
        message: `forward: tls://${server.host} without tls_servername: its certificate must be for that address`,
      });
  return draft;
}

function withServerName(
  server: ForwardConfig['to'][number],
  serverName: string | undefined,
  line: number,
): ForwardConfig['to'][number] {
  if (!('host' in server) || serverName === undefined || server.transport !== 'tls') return server;
  if (server.serverName !== undefined)
    throw new CorefileError(line, `forward: ${server.host} has two names, after % and by tls_servername`);
  return { ...server, serverName };
}

/** `192.0.2.1`, `192.0.2.1:53`, `[fd00::1]:53`, `dns://…`, `tls://192.0.2.1%name:853`, or a file. */
function target(text: string, line: number): UpstreamConfig | { file: string } {
  if (text.startsWith('/')) return { file: text };
  const scheme = /^([a-z0-9]+):\/\//.exec(text);
  const transport = scheme?.[1] ?? 'dns';
  if (transport !== 'dns' && transport !== 'tls')
    throw new CorefileError(line, `forward: ${text}: only dns:// and tls:// are spoken here`);
  const rest = text.slice(scheme?.[0].length ?? 0);
  const [, address, serverName, port] =
    /^(\[[^\]]+\]|[^:%\s]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?:%([^:\s]+))?(?::(\d+))?$/.exec(rest) ?? [];
  const host = isIP(rest) ? rest : (address ?? '').replace(/^\[|\]$/g, '');
  if (isIP(host) === 0)
    throw new CorefileError(line, `forward: "${text}" is no IP address; names of servers are not looked up`);
  const number = Number((isIP(rest) ? undefined : port) ?? (transport === 'tls' ? 853 : 53));
  if (number < 1 || number > 65535) throw new CorefileError(line, `forward: ${text}: no such port`);
  return { host, port: number, transport, serverName: serverName?.toLowerCase() };
}

function readOption(option: Directive, draft: Draft, warnings: CorefileProblem[]): void {
  switch (option.name) {
    case 'except':
      expectArgs(option, 1, 1000);
      draft.except = [...draft.except, ...option.args.flatMap((zone) => zonesOf(zone, option.line))];
      break;
    case 'force_tcp':
      expectArgs(option, 0);
      draft.forceTcp = true;
      break;
    case 'prefer_udp':
      expectArgs(option, 0);
      draft.preferUdp = true;
      break;
    case 'expire':
      draft.expireMs = duration(onlyArg(option), option);
      break;
    case 'read_timeout':
      draft.readTimeoutMs = Math.max(1, duration(onlyArg(option), option));
      break;
    case 'max_fails':
      draft.maxFails = integer(onlyArg(option), option, 0, 1_000_000);
      break;
    case 'max_concurrent':
      draft.maxConcurrent = integer(onlyArg(option), option, 0, 1_000_000) || defaultMaxConcurrent;
      break;
    case 'policy':
      draft.policy = oneOf(onlyArg(option), option, ['random', 'round_robin', 'sequential']);
      break;
    case 'failfast_all_unhealthy_upstreams':
      expectArgs(option, 0);
      draft.failFast = true;
      break;
    case 'failover':
      draft.failover = codes(option);
      break;
    case 'next':
      draft.next = codes(option);
      break;
    case 'tls':
      draft.tls = tlsFiles(option);
      break;
    case 'health_check':
      draft.healthCheck = healthCheck(option);
      break;
    case 'max_idle_conns':
    case 'max_connect_attempts':
      integer(onlyArg(option), option, 0, 1_000_000);
      break;
    case 'next_on_nodata':
    case 'doh_method':
    case 'source_address':
    case 'resolver':
      warnings.push({ line: option.line, message: `forward: ${option.name} is not done here` });
      break;
    default:
      throw unknownProperty('forward', option);
  }
}

function codes(option: Directive): number[] {
  expectArgs(option, 1, 20);
  return option.args.map((name) => {
    const code = rcodeNumber(name);
    if (code === undefined || (option.name === 'failover' && code === 0))
      throw new CorefileError(
        option.line,
        `${option.name}: "${name}" is no response code that can be used here`,
      );
    return code;
  });
}

function tlsFiles(option: Directive): ForwardConfig['tls'] {
  expectArgs(option, 0, 3);
  const [first, second, third] = option.args;
  if (option.args.length === 1) return { certificateFile: undefined, keyFile: undefined, caFile: first };
  return { certificateFile: first, keyFile: second, caFile: third };
}

function healthCheck(option: Directive): ForwardConfig['healthCheck'] {
  const [first, ...rest] = option.args;
  const intervalMs = duration(first, option);
  let recursionDesired = true;
  let domain = '';
  while (rest.length > 0) {
    const word = rest.shift();
    if (word === 'no_rec') recursionDesired = false;
    else if (word === 'domain' && rest.length > 0) domain = nameOf(rest.shift() as string, option.line);
    else throw new CorefileError(option.line, `health_check: "${word}" is neither no_rec nor domain NAME`);
  }
  return { intervalMs: Math.max(50, intervalMs), recursionDesired, domain };
}
