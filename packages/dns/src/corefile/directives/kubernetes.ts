import { parseLabelSelector } from '@cloudless/kube/selector/selector';
import type { KubernetesConfig } from '../config.ts';
import { CorefileError, type CorefileProblem } from '../error.ts';
import type { Directive } from '../syntax.ts';
import {
  duration,
  expectArgs,
  fallthroughOf,
  integer,
  oneOf,
  onlyArg,
  unknownProperty,
  zonesOr,
} from '../values.ts';

type Draft = { -readonly [Key in keyof KubernetesConfig]: KubernetesConfig[Key] };

/** Options about the connection to the API: this process has its own. */
const connectionOptions = new Set([
  'endpoint',
  'tls',
  'kubeconfig',
  'apiserver_qps',
  'apiserver_burst',
  'apiserver_max_inflight',
]);

/** CoreDNS: plugin/kubernetes. */
export function readKubernetes(
  directive: Directive,
  serverZones: readonly string[],
  warnings: CorefileProblem[],
): KubernetesConfig {
  const draft: Draft = {
    zones: zonesOr(directive.args, directive.line, serverZones),
    pods: 'disabled',
    endpointPodNames: false,
    noEndpoints: false,
    ignoreEmptyService: false,
    ttlSeconds: 5,
    namespaces: undefined,
    labels: '',
    namespaceLabels: '',
    fallthrough: undefined,
  };
  if (draft.zones.every(isReverse))
    throw new CorefileError(directive.line, 'kubernetes needs a zone that is not a reverse zone');
  for (const option of directive.block ?? []) readOption(option, draft, warnings);
  if (draft.namespaces && draft.namespaceLabels !== '')
    throw new CorefileError(directive.line, 'kubernetes: namespaces and namespace_labels exclude each other');
  return draft;
}

const isReverse = (zone: string): boolean => /(^|\.)(in-addr|ip6)\.arpa$/.test(zone);

function readOption(option: Directive, draft: Draft, warnings: CorefileProblem[]): void {
  if (connectionOptions.has(option.name)) {
    warnings.push({
      line: option.line,
      message: `kubernetes: ${option.name} is not used; the API is read with this process's own credentials`,
    });
    return;
  }
  switch (option.name) {
    case 'pods':
      draft.pods = oneOf(onlyArg(option), option, ['disabled', 'insecure', 'verified']);
      break;
    case 'endpoint_pod_names':
      expectArgs(option, 0);
      draft.endpointPodNames = true;
      break;
    case 'noendpoints':
      expectArgs(option, 0);
      draft.noEndpoints = true;
      break;
    case 'ttl':
      draft.ttlSeconds = integer(onlyArg(option), option, 0, 3600);
      break;
    case 'namespaces':
      expectArgs(option, 1, 1000);
      draft.namespaces = option.args.map((name) => name.toLowerCase());
      break;
    case 'labels':
      draft.labels = selector(option);
      break;
    case 'namespace_labels':
      draft.namespaceLabels = selector(option);
      break;
    case 'fallthrough':
      draft.fallthrough = fallthroughOf(option);
      break;
    case 'ignore':
      oneOf(onlyArg(option), option, ['empty_service']);
      draft.ignoreEmptyService = true;
      break;
    case 'startup_timeout':
      // Names are answered with SERVFAIL until they are known, however long that takes.
      duration(onlyArg(option), option);
      break;
    case 'multicluster':
    case 'zonal':
      warnings.push({
        line: option.line,
        message: `kubernetes: ${option.name} is not done here; those names do not exist`,
      });
      break;
    default:
      throw unknownProperty('kubernetes', option);
  }
}

function selector(option: Directive): string {
  expectArgs(option, 1, 100);
  const text = option.args.join(' ');
  try {
    parseLabelSelector(text);
  } catch (error) {
    throw new CorefileError(option.line, `${option.name}: ${(error as Error).message}`);
  }
  return text;
}
