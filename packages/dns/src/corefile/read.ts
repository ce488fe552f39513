import type { CorefileConfig, ServerConfig } from './config.ts';
import { readCache } from './directives/cache.ts';
import { readForward } from './directives/forward.ts';
import { readHosts } from './directives/hosts.ts';
import { readKubernetes } from './directives/kubernetes.ts';
import { readLog } from './directives/log.ts';
import { readRewrite } from './directives/rewrite.ts';
import { readTemplate } from './directives/template.ts';
import { CorefileError, type CorefileProblem } from './error.ts';
import { type Directive, parseSyntax, type ServerBlock } from './syntax.ts';
import { zonesOf } from './values.ts';

type Draft = { -readonly [Key in keyof ServerConfig]: ServerConfig[Key] };

/** About the process as a whole, which has its own ways: health and metrics have one port, changes are seen at once. */
const ofTheProcess = new Set([
  'errors',
  'health',
  'ready',
  'reload',
  'prometheus',
  'debug',
  'pprof',
  'startup_timeout',
]);

/** What to do instead of a plugin that is not done here. */
const instead: Readonly<Record<string, string>> = {
  autopath: 'names of the search path are answered from memory anyway',
  acl: 'only the networks of the cluster may ask',
  any: 'ANY is answered with what there is',
  bind: 'the addresses are those that the process was started with',
  bufsize: 'answers by UDP have at most 1232 octets',
  dns64: 'no addresses are made up',
  dnssec: 'the names of the cluster are not signed',
  etcd: 'its names do not exist',
  file: 'zones of your own are served by the authoritative DNS (cloudless dns external)',
  auto: 'zones of your own are served by the authoritative DNS (cloudless dns external)',
  secondary: 'zones of your own are served by the authoritative DNS (cloudless dns external)',
  transfer: 'the names of the cluster are not transferred',
  k8s_external: 'external names are served by the authoritative DNS (cloudless dns external)',
  grpc: 'use forward',
  minimal: 'answers are as they are',
  view: 'everybody gets the same answers',
  whoami: 'it says nothing',
};

/**
 * Reads a Corefile. Throws {@link CorefileError} for what CoreDNS would refuse too; what it could do and this server
 * does not is in `warnings`, with what happens instead. Pure.
 */
export function readCorefile(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): CorefileConfig {
  const warnings: CorefileProblem[] = [];
  const servers: ServerConfig[] = [];
  const taken = new Map<string, number>();
  for (const block of parseSyntax(text, environment)) {
    const zones = servedZones(block, warnings);
    for (const zone of zones) {
      const other = taken.get(zone);
      if (other !== undefined)
        throw new CorefileError(
          block.line,
          `zone "${zone}." is served by the block of line ${other} already`,
        );
      taken.set(zone, block.line);
    }
    if (zones.length > 0) servers.push(readServer(block, zones, warnings));
  }
  if (servers.length === 0) throw new CorefileError(1, 'there is no server block for port 53');
  return { servers, warnings: warnings.sort((a, b) => a.line - b.line) };
}

/** The zones of a block that are served on port 53. */
function servedZones(block: ServerBlock, warnings: CorefileProblem[]): string[] {
  return block.keys.flatMap((key) => {
    const [, scheme, rest] = /^(?:([a-z0-9+]+):\/\/)?(.*)$/s.exec(key) as unknown as [
      string,
      string?,
      string?,
    ];
    const [, zone, port] = /^(.*?)(?::(\d+))?$/s.exec(rest ?? '') as unknown as [string, string, string?];
    if ((scheme === undefined || scheme === 'dns') && (port === undefined || port === '53'))
      return zonesOf(zone === '' ? '.' : zone, block.line);
    warnings.push({
      line: block.line,
      message: `${key}: only plain DNS on port 53 is served here; this address is left out`,
    });
    return [];
  });
}

function readServer(block: ServerBlock, zones: string[], warnings: CorefileProblem[]): ServerConfig {
  const draft: Draft = {
    zones,
    line: block.line,
    logs: [],
    rewrites: [],
    cache: undefined,
    templates: [],
    hosts: undefined,
    kubernetes: undefined,
    forwards: [],
    loop: false,
    loadbalance: false,
  };
  const seen = new Set<string>();
  for (const directive of block.directives) {
    if (seen.has(directive.name) && once.has(directive.name))
      throw new CorefileError(directive.line, `${directive.name} stands twice in one server block`);
    seen.add(directive.name);
    readDirective(directive, draft, warnings);
  }
  return draft;
}

const once = new Set(['cache', 'hosts', 'kubernetes', 'loop']);

function readDirective(directive: Directive, draft: Draft, warnings: CorefileProblem[]): void {
  const { name, line } = directive;
  if (ofTheProcess.has(name)) return;
  switch (name) {
    case 'kubernetes':
      draft.kubernetes = readKubernetes(directive, draft.zones, warnings);
      break;
    case 'forward':
      draft.forwards = [...draft.forwards, readForward(directive, warnings)];
      break;
    case 'cache':
      draft.cache = readCache(directive, draft.zones, warnings);
      break;
    case 'hosts':
      draft.hosts = readHosts(directive, draft.zones);
      break;
    case 'log':
      draft.logs = [...draft.logs, readLog(directive, draft.zones)];
      break;
    case 'rewrite': {
      const rule = readRewrite(directive, warnings);
      if (rule) draft.rewrites = [...draft.rewrites, rule];
      break;
    }
    case 'template': {
      const template = readTemplate(directive, draft.zones, warnings);
      if (template) draft.templates = [...draft.templates, template];
      break;
    }
    case 'loop':
      draft.loop = true;
      break;
    case 'loadbalance':
      draft.loadbalance = true;
      if (directive.args[0] === 'weighted' || directive.block !== undefined)
        warnings.push({ line, message: 'loadbalance: only round_robin is done here; the order is random' });
      break;
    default: {
      const remedy = Object.hasOwn(instead, name) ? `: ${instead[name]}` : '';
      warnings.push({
        line,
        message: `plugin ${name} is not done here${remedy}; the rest is served without it`,
      });
    }
  }
}
