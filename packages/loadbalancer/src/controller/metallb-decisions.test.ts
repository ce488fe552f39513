/**
 * What MetalLB's own controller (7938d3f, July 2026) decided on random histories of Services and pools, recorded from
 * its code; ours must decide and say the same. Where MetalLB leaves a choice to chance, ties went by name.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { IPAddressPool } from '../config/kinds.ts';
import { parseConfiguration } from '../config/parse.ts';
import { Allocator } from './allocator.ts';
import { converge } from './converge.ts';

/** A pool layout's number, a Service that is deleted, or one that is applied, with what was decided. */
type Step = number | string | ServiceStep;
type ServiceStep = [
  service: string,
  type: string,
  families: string,
  ports: string,
  sharingKey: string,
  policyAndSelector: string,
  app: string,
  pool: string,
  wish: string,
  spelling: string,
  decided: string,
];

interface Setting {
  layouts: ReadonlyArray<Record<string, IPAddressPool['spec']>>;
  namespaces: Record<string, Record<string, string>>;
}

const [first = '', ...lines] = readFileSync(
  new URL('testdata/metallb-decisions.txt', import.meta.url),
  'utf8',
)
  .trimEnd()
  .split('\n');
const setting = JSON.parse(first) as Setting;

const clusterIps: Record<string, string[]> = { 4: ['10.0.0.1'], 6: ['fd00::1'] };
const policies: Record<string, string> = { dualreq: 'RequireDualStack', dualpref: 'PreferDualStack' };

function serviceOf(step: ServiceStep, status: Service['status']): Service {
  const [service, type, families, ports, key, policyAndSelector, app, pool, wish, spelling] = step;
  const [namespace = '', name = ''] = service.split('/');
  const [policy = '', selector = ''] = policyAndSelector.split(' ');
  const prefix = spelling.startsWith('old') ? 'metallb.universe.tf/' : 'metallb.io/';
  const asField = spelling.endsWith('field');
  return {
    metadata: {
      name,
      namespace,
      labels: { app },
      annotations: {
        ...(key === '' ? {} : { [`${prefix}allow-shared-ip`]: key }),
        ...(pool === '' ? {} : { [`${prefix}address-pool`]: pool }),
        ...(wish === '' || asField ? {} : { [`${prefix}loadBalancerIPs`]: wish }),
      },
    },
    spec: {
      type,
      clusterIPs: clusterIps[families] ?? ['10.0.0.1', 'fd00::1'],
      ipFamilyPolicy: policies[families] ?? 'SingleStack',
      externalTrafficPolicy: policy,
      selector: { app: selector },
      ports: ports
        .split(' ')
        .map((port) => ({ protocol: port.split('/')[0] ?? '', port: Number(port.split('/')[1]) })),
      ...(wish !== '' && asField ? { loadBalancerIP: wish } : {}),
    },
    ...(status ? { status } : {}),
  };
}

/** MetalLB names Services of one address in no order, and says in two ways that a pool has nothing left. */
const comparable = (text: string): string =>
  text
    .replace(/: no available IPs in pool \w+( for \w+ IPFamily)?/g, ': NONE')
    .replace(/in use by ([^|]*)$/, (_, list: string) => `in use by ${list.split(',').sort().join(',')}`);

function replay(steps: readonly Step[]): void {
  const allocator = new Allocator();
  const statuses = new Map<string, Service['status']>();
  for (const [i, step] of steps.entries()) {
    if (typeof step === 'number') {
      const pools = Object.entries(setting.layouts[step] ?? {});
      const parsed = parseConfiguration({
        ipAddressPools: pools.map(([name, spec]) => ({ metadata: { name, namespace: 'lb' }, spec })),
      });
      if (!('config' in parsed)) assert.fail('the pools are wrong');
      allocator.setPools(parsed.config.pools);
    } else if (typeof step === 'string') {
      allocator.release(step);
      statuses.delete(step);
    } else {
      const [key] = step;
      const service = serviceOf(step, statuses.get(key));
      const labels = setting.namespaces[service.metadata.namespace ?? ''] ?? {};
      const { assigned, notes } = converge(allocator, service, labels);
      const addresses = (assigned?.addresses ?? []).map(({ text }) => text);
      statuses.set(key, { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } });
      const told = notes.map(({ reason, message }) => `${reason}: ${message}`).join(' | ');
      const decided = `${addresses.join(',')} of ${assigned?.pool ?? ''} | ${told}`;
      assert.equal(comparable(decided), step.at(-1), `step ${i}: ${JSON.stringify(step)}`);
    }
  }
}

describe('the decisions of MetalLB', () => {
  for (const [i, line] of lines.entries())
    it(`in history ${i + 1}`, () => {
      replay(JSON.parse(line) as Step[]);
    });
});
