import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { externalDeploymentName, externalPodLabels } from '@cloudless/dns/deploy/manifests';
import { installDefinitions } from '@cloudless/dns/external/definitions';
import { readText } from '@cloudless/dns/external/composer';
import {
  dnsServiceName,
  madeFromLabel,
  type ValuesObject,
  valuesObjects,
} from '@cloudless/dns/values/objects';
import { type ParsedValues, parseValues } from '@cloudless/dns/values/parse';
import type { ZoneProblem } from '@cloudless/dns/zone/zone';
import type { KubeClient } from '@cloudless/kube/client/client';
import { apps, core } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { stringify } from 'yaml';
import { UsageError } from '../../options.ts';
import { Progress } from '../../progress.ts';
import { clusterOf } from '../named-cluster.ts';
import { userAgent } from './listen.ts';
import { problemText, ProblemsError } from './problems.ts';

export interface ValuesFlags {
  kubeconfig?: string;
  root: string;
  namespace: string;
  check?: boolean;
  print?: boolean;
}

/** How long an address is waited for before it is said that there is none yet. */
const addressMs = 10_000;

/** `cloudless dns values FILE`. Applying them again changes nothing. */
export async function values(file: string, flags: ValuesFlags): Promise<void> {
  if (flags.check && flags.print) throw new UsageError('--check and --print: choose one');
  const text = readFileSync(file === '-' ? 0 : file, 'utf8');
  const parsed = checked(text, file === '-' ? 'standard input' : file);
  if (flags.check) {
    const count = parsed.config.zones.length;
    process.stdout.write(`${file}: ${count} zone${count === 1 ? '' : 's'}, no errors\n`);
    return;
  }
  const { namespace } = flags;
  if (flags.print) {
    const objects = valuesObjects(text, parsed, { namespace });
    process.stdout.write(objects.map(({ object }) => `---\n${stringify(object)}`).join(''));
    return;
  }
  const { client } = clusterOf(flags, userAgent);
  const hasPods = await isDeployed(client, namespace);
  if (!hasPods && (parsed.service.api || parsed.service.metrics))
    process.stderr.write(
      'warning: service.api and service.externalDNSMetrics make no Services here: both are on loopback of the nodes (ports 8081 and 10056); with pods (cloudless dns install --manifests) they do\n',
    );
  const objects = valuesObjects(text, parsed, {
    namespace,
    selector: hasPods ? externalPodLabels : undefined,
  });
  const progress = new Progress();
  progress.step('the kind DNSEndpoint');
  await installDefinitions(client);
  progress.done();
  progress.step('configuration, secrets and Services');
  await apply(client, objects, flags.namespace);
  progress.done(objects.map(({ object }) => `${object.kind} ${object.metadata.name}`).join(', '));
  const kept = [
    ...objects.map(({ object }) => `${object.kind} ${object.metadata.name}`),
    ...parsed.secretNames.map((name) => `Secret ${name}`),
  ];
  for (const gone of await prune(client, new Set(kept), flags.namespace))
    process.stdout.write(`removed ${gone}\n`);
  await tellSecret(client, parsed, flags.namespace);
  if (parsed.service.dns) await tellAddress(client, parsed, flags.namespace);
}

/** Whether pods answer in that cluster; where `cloudless up` runs, its dns process does. */
async function isDeployed(client: KubeClient, namespace: string): Promise<boolean> {
  try {
    await client.get(apps.deployments, externalDeploymentName, { namespace });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Prints what is wrong or odd with values and their zones; throws {@link ProblemsError} when there is an error. */
function checked(text: string, source: string): ParsedValues {
  const parsed = parseValues(text, source);
  const problems = 'problems' in parsed ? parsed.problems : [...parsed.warnings, ...zoneProblems(parsed)];
  for (const problem of problems) process.stderr.write(`${problemText(problem)}\n`);
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  if ('problems' in parsed || errors > 0)
    throw new ProblemsError(`${errors} error${errors === 1 ? '' : 's'} in ${source}: nothing was changed`);
  return parsed;
}

/** What is wrong or odd with the zones. Name servers that the Service itself is called get their addresses from it. */
function zoneProblems({ config, service }: ParsedValues): ZoneProblem[] {
  const names = Object.entries(service.dns?.annotations ?? {})
    .filter(([key]) => key.endsWith('/hostname'))
    .flatMap(([, list]) => list.split(',').map((name) => name.trim().replace(/\.$/, '')));
  return config.zones.flatMap((zone) => {
    const { problems, oddities = [] } = readText(zone, undefined);
    const others = oddities.filter(
      ({ message }) =>
        !names.some((name) => message.includes(`points to ${name}. (NS), which has no address`)),
    );
    return [...problems, ...others];
  });
}

async function apply(client: KubeClient, objects: readonly ValuesObject[], namespace: string): Promise<void> {
  for (const { resource, object } of objects) {
    const place = resource.namespaced ? { namespace } : {};
    // oxlint-disable-next-line no-await-in-loop -- the namespace before what is in it
    await client.patch(resource, object.metadata.name ?? '', 'apply', object, {
      ...place,
      fieldManager: 'cloudless-dns-values',
      force: true,
    });
  }
}

/** Takes away what earlier values made and these do not speak of. */
async function prune(client: KubeClient, kept: ReadonlySet<string>, namespace: string): Promise<string[]> {
  const gone: string[] = [];
  for (const resource of [core.services, core.secrets]) {
    const { items } = await client.list(resource, { namespace, labelSelector: `${madeFromLabel}=values` });
    for (const { metadata } of items) {
      const name = metadata.name ?? '';
      if (kept.has(`${resource.kind} ${name}`)) continue;
      await client.delete(resource, name, { namespace });
      gone.push(`${resource.kind} ${name}`);
    }
  }
  return gone;
}

async function tellSecret(client: KubeClient, parsed: ParsedValues, namespace: string): Promise<void> {
  const { name, key, isOurs } = parsed.apiKeySecret;
  if (isOurs) return;
  const secret = await client.get(core.secrets, name, { namespace }).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  if (secret?.data?.[key] === undefined)
    process.stderr.write(
      `warning: there is no key ${key} in a Secret ${namespace}/${name} yet: the API is closed until there is\n`,
    );
}

async function tellAddress(client: KubeClient, parsed: ParsedValues, namespace: string): Promise<void> {
  const endMs = performance.now() + addressMs;
  const names = parsed.config.zones.map(({ origin }) => origin).join(', ') || 'no zone yet';
  for (;;) {
    const { spec, status } = await client.get(core.services, dnsServiceName, { namespace });
    const balanced = status?.loadBalancer?.ingress?.flatMap(({ ip, hostname }) => ip ?? hostname ?? []) ?? [];
    const addresses = spec?.type === 'LoadBalancer' ? balanced : (spec?.clusterIPs ?? []);
    if (addresses.length > 0) {
      process.stdout.write(
        `${names}: answered on ${addresses.join(', ')}, port ${parsed.service.dns?.port} (${parsed.service.dns?.transports.join(' and ')})\n`,
      );
      return;
    }
    if (performance.now() > endMs) {
      process.stdout.write(
        `${names}: Service ${namespace}/${dnsServiceName} has no address yet: is there an IPAddressPool? See: kubectl -n ${namespace} describe service ${dnsServiceName}\n`,
      );
      return;
    }
    await wait(300);
  }
}
