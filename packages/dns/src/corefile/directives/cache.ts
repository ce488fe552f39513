import type { CacheConfig, CacheTypeConfig } from '../config.ts';
import { CorefileError, type CorefileProblem } from '../error.ts';
import type { Directive } from '../syntax.ts';
import { duration, expectArgs, integer, oneOf, onlyArg, unknownProperty, zonesOr } from '../values.ts';

type Draft = {
  -readonly [Key in keyof CacheConfig]: CacheConfig[Key];
};

/** CoreDNS's own numbers (plugin/cache). */
const defaultEntries = 9984;
const successTtlSeconds = 3600;
const denialTtlSeconds = 1800;
const minTtlSeconds = 5;

/** CoreDNS: plugin/cache. */
export function readCache(
  directive: Directive,
  serverZones: readonly string[],
  warnings: CorefileProblem[],
): CacheConfig {
  const [first, ...others] = directive.args;
  const hasTtl = first !== undefined && /^\d+$/.test(first);
  const ttl = hasTtl ? integer(first, directive, 1, 0x7fffffff) : undefined;
  const oneType = (most: number): CacheTypeConfig => ({
    entries: defaultEntries,
    maxTtlSeconds: ttl ?? most,
    minTtlSeconds,
    disabled: [],
  });
  const draft: Draft = {
    zones: zonesOr(hasTtl ? others : directive.args, directive.line, serverZones),
    success: oneType(successTtlSeconds),
    denial: oneType(denialTtlSeconds),
    servfailMs: 5000,
    keepTtl: false,
    prefetch: undefined,
    serveStale: undefined,
  };
  for (const option of directive.block ?? []) readOption(option, draft, warnings);
  return draft;
}

function readOption(option: Directive, draft: Draft, warnings: CorefileProblem[]): void {
  switch (option.name) {
    case 'success':
    case 'denial': {
      expectArgs(option, 1, 3);
      const [entries, ttl, least] = option.args;
      const before = draft[option.name];
      draft[option.name] = {
        ...before,
        entries: Math.max(1024, integer(entries, option, 0, 10_000_000)),
        maxTtlSeconds: ttl === undefined ? before.maxTtlSeconds : integer(ttl, option, 1, 0x7fffffff),
        minTtlSeconds: least === undefined ? before.minTtlSeconds : integer(least, option, 0, 0x7fffffff),
      };
      break;
    }
    case 'disable': {
      const [kind, ...zones] = option.args;
      const type = oneOf(kind, option, ['success', 'denial']);
      draft[type] = { ...draft[type], disabled: zonesOr(zones, option.line, ['']) };
      break;
    }
    case 'servfail':
      draft.servfailMs = duration(onlyArg(option), option);
      if (draft.servfailMs > 300_000)
        throw new CorefileError(
          option.line,
          'servfail: failures may be kept for 5 minutes at most (RFC 9520)',
        );
      break;
    case 'keepttl':
      expectArgs(option, 0);
      draft.keepTtl = true;
      break;
    case 'prefetch':
      draft.prefetch = prefetch(option);
      break;
    case 'serve_stale':
      draft.serveStale = serveStale(option);
      break;
    case 'serve_stale_policy':
      warnings.push({ line: option.line, message: 'cache: serve_stale_policy is not done here' });
      break;
    default:
      throw unknownProperty('cache', option);
  }
}

function prefetch(option: Directive): CacheConfig['prefetch'] {
  expectArgs(option, 1, 3);
  const [amount, within, percent] = option.args;
  const percentage = percent === undefined ? 10 : Number(/^(\d+)%$/.exec(percent)?.[1] ?? NaN);
  if (!(percentage >= 10 && percentage <= 90))
    throw new CorefileError(option.line, `prefetch: "${percent}" is not from 10% to 90%`);
  return {
    amount: integer(amount, option, 0, 1_000_000_000),
    durationMs: within === undefined ? 60_000 : duration(within, option),
    percentage,
  };
}

/** `serve_stale [DURATION] [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]`. */
function serveStale(option: Directive): CacheConfig['serveStale'] {
  expectArgs(option, 0, 5);
  const rest = [...option.args];
  const durationMs =
    rest[0] !== undefined && /^\d/.test(rest[0]) ? duration(rest.shift(), option) : 3_600_000;
  const mode = rest.length === 0 ? 'immediate' : oneOf(rest.shift(), option, ['immediate', 'verify']);
  const verifyTimeoutMs = mode === 'verify' && rest.length > 0 ? duration(rest.shift(), option) : 0;
  const ttlMs = rest.length > 0 ? duration(rest.shift(), option) : 0;
  const failureRecheckMs = rest.length > 0 ? duration(rest.shift(), option) : 0;
  if (rest.length > 0) throw new CorefileError(option.line, `serve_stale: "${rest[0]}" is too much`);
  if (ttlMs % 1000 !== 0) throw new CorefileError(option.line, 'serve_stale: the TTL must be whole seconds');
  return { durationMs, mode, verifyTimeoutMs, ttlSeconds: ttlMs / 1000, failureRecheckMs };
}
