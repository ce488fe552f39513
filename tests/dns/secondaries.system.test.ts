// BIND, NSD and Knot follow a zone that is made of objects of a cluster, while its replicas are killed and made again:
// `CHANGES=1000` for the long run (`npm run test:long`).
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@cloudless/kube/clock';
import { customResourceDefinitions } from '@cloudless/dns/external/definitions';
import { dnsEndpoints } from '@cloudless/dns/external/kinds';
import { askSerial } from '@cloudless/dns/transfer/fetch-zone';
import type { TsigKey } from '@cloudless/dns/transfer/keys';
import { isolateWith, until } from '@cloudless/dns/transfer/testing/loopback';
import {
  type PeerServer,
  runTool,
  startBind,
  startKnot,
  startNsd,
} from '@cloudless/dns/transfer/testing/name-servers';
import { isSerialHigher } from '@cloudless/dns/zone/build';
import { core } from '@cloudless/kube/resources';
import { missingPeer } from '@cloudless/kube/testing/peers';
import type { Service } from '@cloudless/kube/types/core-v1';
import { type Cluster, startCluster } from '../../packages/cli/src/testing/index.ts';

const changes = Number(process.env['CHANGES'] ?? 19);
/** A replica is killed each time so many changes were made, one after the other. */
const changesBetweenKills = Math.max(10, Math.floor(changes / 40));
/**
 * BIND does not ask a primary that refused a connection for another 10 minutes, NOTIFY or not: in the long run that may
 * befall every replica. In the short one a single replica dies, so one that it asks is always there.
 */
const catchUpMs = changes > 19 ? 11 * 60_000 : 20_000;
const origin = 'followed.example';
const replicas = ['127.0.0.1', '127.0.0.5'];
const nsdAddress = '127.0.0.3';
const secondaries = [
  { name: 'BIND', start: startBind, address: '127.0.0.2' },
  { name: 'NSD', start: startNsd, address: nsdAddress },
  { name: 'Knot', start: startKnot, address: '127.0.0.4' },
];
const key: TsigKey = {
  name: 'follow.example',
  algorithm: 'hmac-sha256',
  secret: Buffer.from('a key that is good for this test'),
};
const keyText = `${key.algorithm}:${key.secret.toString('base64')}`;
const namespace = 'cloudless-dns';
// Records that stay: differences are shorter than the zone.
const constant = Array.from({ length: 300 }, (_, i) => `    fixed-${i} A 10.4.${i >> 8}.${i & 255}`).join(
  '\n',
);
const values = `
zones:
  ${origin}: |
    $TTL 60
    @ SOA ns1 hostmaster 1 3600 2 604800 5
    @ NS ns1
    ns1 A 192.0.2.1
${constant}
externalDNS:
  sources: [service, crd]
transfers:
  allow: [{key: ${key.name}}]
  notify: [${secondaries.map(({ address }) => `{address: ${address}, key: ${key.name}}`).join(', ')}]
`;

/** The versions that NSD loaded, by its log. */
function versionsOfNsd(peer: PeerServer): number[] {
  return [...peer.output().matchAll(/is updated to (\d+)/g)].map(([, serial]) => Number(serial));
}

const lastAddress = '10.99.99.99';

/** A DNSEndpoint with one address. */
function endpoint(name: string, ip: string): object {
  return {
    apiVersion: 'externaldns.k8s.io/v1alpha1',
    kind: 'DNSEndpoint',
    metadata: { name, namespace: 'default' },
    spec: { endpoints: [{ dnsName: `${name}.${origin}`, recordType: 'A', recordTTL: 60, targets: [ip] }] },
  };
}

describe(
  'secondaries of a zone made of objects',
  {
    skip: missingPeer('named', 'nsd', 'knotd', 'dig'),
    timeout: 60_000 + changes * 500 + catchUpMs,
  },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'dns-secondaries-'));
    const peers: PeerServer[] = [];
    const children = new Map<string, ChildProcess>();
    let cluster: Cluster;
    let kubeconfig: string;

    async function startReplica(address: string): Promise<void> {
      const child = spawn(
        process.execPath,
        [
          '--disable-warning=ExperimentalWarning',
          join(import.meta.dirname, 'replica-process.ts'),
          kubeconfig,
          address,
        ],
        { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] },
      );
      let output = '';
      child.stderr?.on('data', (text: Buffer) => (output = (output + text.toString()).slice(-5000)));
      children.set(address, child);
      await new Promise<void>((resolve, reject) => {
        const fail = (why: string): void => reject(new Error(`replica ${address} ${why}:\n${output}`));
        const timer = setTimeout(() => fail('is not ready after 30 s'), 30_000);
        child.once('message', () => (clearTimeout(timer), resolve()));
        child.once('exit', (code, by) => {
          clearTimeout(timer);
          if (by === 'SIGKILL') resolve();
          else fail(`ended with ${code}`);
        });
      });
    }

    async function killReplica(address: string): Promise<void> {
      const child = children.get(address);
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }

    const signal = new AbortController();
    const serialOf = (address: string): Promise<number | undefined> =>
      askSerial(
        origin,
        { address, port: 53, key: undefined },
        {
          keys: [],
          clock: systemClock,
          signal: signal.signal,
          limits: { maxBytes: 0, maxRecords: 0, idleMs: 0, totalMs: 0 },
        },
      ).catch(() => undefined);

    before(async () => {
      isolateWith([...replicas.slice(1), ...secondaries.map(({ address }) => address)]);
      cluster = await startCluster({ nodes: 0, scheduler: false, crds: customResourceDefinitions() });
      kubeconfig = await cluster.kubeconfigFile();
      const inNamespace = { namespace };
      await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      await cluster.apply(
        [
          {
            apiVersion: 'v1',
            kind: 'Secret',
            metadata: { name: 'tsig-keys' },
            stringData: { [key.name]: keyText },
          },
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: 'values' },
            data: { 'values.yaml': values },
          },
        ],
        inNamespace,
      );
      await Promise.all(replicas.map(startReplica));
      await Promise.all(
        secondaries.map(async ({ start, address }) => {
          mkdirSync(join(folder, address));
          const zones = [{ origin, primaries: replicas }];
          peers.push(await start({ folder: join(folder, address), address, key, zones }));
        }),
      );
    });

    after(async () => {
      signal.abort();
      for (const address of replicas) await killReplica(address);
      for (const peer of peers) await peer.stop();
      await cluster?.stop();
      rmSync(folder, { recursive: true });
    });

    /** The i-th change: a Service gets another address, or an API's records others; some come and some go. */
    async function change(i: number): Promise<void> {
      const { client } = cluster;
      const name = `n${i % 11}`;
      const ip = `10.9.${i >> 8}.${i & 255}`;
      if (i % 3 === 0) {
        const service: Service = {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: {
            name: `s${i % 11}`,
            namespace: 'default',
            annotations: { 'external-dns.alpha.kubernetes.io/hostname': `s${i % 11}.${origin}` },
          },
          spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
        };
        const [stored] = await cluster.apply<Service>(service);
        const status = { loadBalancer: { ingress: [{ ip }] } };
        await client.patch(
          core.services,
          `s${i % 11}`,
          'merge',
          { status },
          { namespace: 'default', subresource: 'status' },
        );
        assert.ok(stored);
      } else if (i % 17 === 16) {
        await client.delete(dnsEndpoints, name, { namespace: 'default' }).catch(() => {});
      } else await cluster.apply(endpoint(name, ip));
    }

    it('end with the serial of every replica, and none went back on the way', async (t) => {
      const watched = [...replicas, ...secondaries.map(({ address }) => address)];
      const seen = new Map<string, number[]>(watched.map((address) => [address, []]));
      const watch = new AbortController();
      const watching = watched.map(async (address) => {
        const serials = seen.get(address) as number[];
        while (!watch.signal.aborted) {
          const serial = await serialOf(address);
          if (serial !== undefined && serial !== serials.at(-1)) serials.push(serial);
          await sleep(10);
        }
      });
      const newest = (): number => Math.max(...replicas.map((address) => seen.get(address)?.at(-1) ?? 0));
      let kills = 0;
      try {
        const haveAny = (): boolean => watched.every((address) => (seen.get(address)?.length ?? 0) > 0);
        await until(haveAny, () => 'a server has no zone at all');
        let restarting: Promise<void> = Promise.resolve();
        for (let i = 0; i < changes; i++) {
          const before = newest();
          await change(i);
          // Each change is a version of its own, unless every replica is away.
          const endsMs = performance.now() + 300;
          while (newest() === before && performance.now() < endsMs) await sleep(5);
          if (i % changesBetweenKills !== changesBetweenKills - 1) continue;
          // One dies while the next changes are made; every fifth time all do.
          await restarting;
          const dying = kills % 5 === 4 ? replicas : [replicas[kills % replicas.length] as string];
          kills += dying.length;
          await Promise.all(dying.map(killReplica));
          restarting = Promise.all(dying.map(startReplica)).then(() => {});
        }
        await restarting;
        await cluster.apply(endpoint('last', lastAddress));
        let last: Array<number | undefined> = [];
        await until(
          async () => {
            last = await Promise.all(watched.map(serialOf));
            const isLast = await Promise.all(
              watched.map(async (address) =>
                (await runTool('dig', [`@${address}`, `last.${origin}`, 'A', '+short'])).text.includes(
                  lastAddress,
                ),
              ),
            );
            return (
              isLast.every((one) => one) &&
              last[0] !== undefined &&
              last.every((serial) => serial === last[0])
            );
          },
          () => `serials ${last.join(' ')}\n${peers.map((peer) => peer.output().slice(-3000)).join('\n')}`,
          catchUpMs,
        );
      } finally {
        watch.abort();
        await Promise.all(watching);
      }
      for (const [address, serials] of seen) {
        const peer = peers.find((one) => one.address === address);
        const held = address === nsdAddress ? versionsOfNsd(peer as PeerServer) : serials;
        for (const list of [held, serials])
          for (const [i, serial] of list.entries()) {
            const before = list[i - 1] as number;
            if (i === 0 || isSerialHigher(serial, before)) continue;
            // While NSD reloads, its old process still answers: with the version right before the newest.
            const isOverlap = list !== held && held.indexOf(serial) === held.indexOf(before) - 1;
            assert.ok(isOverlap, `${address} went back: ${list.join(' ')}\n${peer?.output()}`);
          }
      }
      const counts = watched.map((address) => `${address}: ${seen.get(address)?.length}`).join(', ');
      t.diagnostic(`${changes} changes, ${kills} kills; versions seen at ${counts}`);
    });

    it('hold what the replicas hold', async () => {
      const argument = `${key.algorithm}:${key.name}:${key.secret.toString('base64')}`;
      const zoneAt = async (address: string): Promise<string[]> => {
        const { text } = await runTool('dig', [`@${address}`, origin, 'AXFR', '+onesoa', '-y', argument]);
        return text
          .split('\n')
          .filter((line) => /\sIN\s/.test(line))
          .sort();
      };
      const [expected, ...others] = await Promise.all(
        [...replicas, ...secondaries.map(({ address }) => address)].map(zoneAt),
      );
      assert.ok((expected?.length ?? 0) > 310);
      for (const [i, zone] of others.entries()) assert.deepEqual(zone, expected, `server ${i + 1}`);
    });
  },
);
