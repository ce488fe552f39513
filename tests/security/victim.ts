// The server under attack: the default one, with a few users of few rights.
import { readFileSync } from 'node:fs';
import { startDefaultApiServer } from '@cloudless/apiserver/server/default';
import type { PortTimeouts } from '@cloudless/apiserver/server/options';
import { openMemoryDatastore } from '@cloudless/datastore/memory';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { type Credentials, createCredentials } from 'cloudless/testing/credentials';
import { type Answer, ask, type Asked, type Identity } from './send.ts';

/**
 * admin: system:masters · alice: edits the namespace `team` · mallory: authenticated, no rights · reader: reads one
 * Secret and lists Secrets of `team` · keeper: may change some of RBAC in `team` · bystander: reads one ConfigMap ·
 * node: the kubelet of `node-1` · anonymous: no certificate.
 */
export type Who = 'admin' | 'alice' | 'mallory' | 'reader' | 'keeper' | 'bystander' | 'node' | 'anonymous';

export interface Victim extends AsyncDisposable {
  readonly url: string;
  readonly ca: string;
  identity(who: Who): Identity;
  ask(who: Who, asked: Asked): Promise<Answer>;
  readonly facts: VictimFacts;
  /** Resident memory of the server's process. */
  rssBytes(): number;
}

/** What a victim consists of, as its process tells it to the one that attacks. */
export interface VictimFacts {
  url: string;
  ca: string;
  pid: number;
  identities: Record<Who, Identity>;
  /** The keys that the server trusts, for forgeries that are all but right. */
  authority: { cert: string; key: string };
  serviceAccountKey: string;
  serverCertificate: Identity;
}

export const issuer = 'https://kubernetes.default.svc.cluster.local';

/** Resident memory of a process, in bytes. */
export function rssOf(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

/** A victim as the facts tell. */
export function victimOf(facts: VictimFacts, stop: () => Promise<void>): Victim {
  const { url, ca, identities, pid } = facts;
  return {
    url,
    ca,
    facts,
    identity: (who) => identities[who],
    ask: (who, asked) => ask(url, ca, identities[who], asked),
    rssBytes: () => rssOf(pid),
    [Symbol.asyncDispose]: stop,
  };
}

/** Starts the server in this process. */
export async function startVictim(): Promise<Victim> {
  const { facts, stop } = await startVictimServer();
  return victimOf(facts, stop);
}

/** Times that a test can wait for. */
export interface ShortTimeouts extends Partial<PortTimeouts> {
  /** Of a whole request. */
  answerMs?: number;
}

const silent = logger('attacked').child({}, { level: 'silent' });

/** Starts the server and makes its users and their objects. */
export async function startVictimServer(
  timeouts: ShortTimeouts = {},
): Promise<{ facts: VictimFacts; stop: () => Promise<void> }> {
  const credentials = await createCredentials(systemClock.nowMs());
  const { ca, server, admin, serviceAccountKey } = credentials;
  const store = await openMemoryDatastore({ log: silent });
  const api = await startDefaultApiServer({
    store,
    listen: { host: '127.0.0.1', port: 0 },
    tls: { cert: () => server.cert, key: () => server.key, clientCa: () => ca.cert },
    serviceAccountKey,
    serviceAccountIssuer: issuer,
    kubeletClient: { ...admin, ca: ca.cert },
    advertiseAddress: '192.0.2.1',
    serviceCidrs: ['10.96.0.0/16'],
    version: { gitVersion: 'v1.36.0+cloudless-attacked' },
    timeouts,
    ...(timeouts.answerMs === undefined ? {} : { requestTimeoutMs: timeouts.answerMs }),
    log: silent,
    clock: systemClock,
  });
  const stop = async (): Promise<void> => {
    await api.stop();
    await store.close();
  };
  const facts: VictimFacts = {
    url: `https://127.0.0.1:${api.address.port}`,
    ca: ca.cert,
    pid: process.pid,
    identities: await identitiesOf(credentials),
    authority: ca,
    serviceAccountKey,
    serverCertificate: server,
  };
  try {
    await api.ready;
    await furnish((asked) => ask(facts.url, facts.ca, facts.identities.admin, asked));
  } catch (error) {
    await stop();
    throw error;
  }
  return { facts, stop };
}

async function identitiesOf(credentials: Credentials): Promise<Record<Who, Identity>> {
  const user = (name: string, groups: string[] = []): Promise<Identity> =>
    credentials.issue({ name, groups });
  return {
    admin: credentials.admin,
    alice: await user('alice'),
    mallory: await user('mallory'),
    reader: await user('reader'),
    keeper: await user('keeper'),
    bystander: await user('bystander'),
    node: await user('system:node:node-1', ['system:nodes']),
    anonymous: {},
  };
}

const everything = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];

const rolesOfTeam: ReadonlyArray<[Who, object[]]> = [
  [
    'alice',
    [
      {
        apiGroups: [''],
        resources: ['pods', 'configmaps', 'services', 'serviceaccounts', 'replicationcontrollers'],
        verbs: everything,
      },
      { apiGroups: [''], resources: ['pods/ephemeralcontainers'], verbs: ['update', 'patch'] },
      { apiGroups: ['apps'], resources: ['deployments'], verbs: everything },
      { apiGroups: ['pest.example.com'], resources: ['*'], verbs: everything },
    ],
  ],
  [
    'reader',
    [
      {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: ['allowed'],
        verbs: ['get', 'list', 'watch'],
      },
      { apiGroups: [''], resources: ['configmaps', 'pods'], verbs: ['get', 'list'] },
      { apiGroups: [''], resources: ['configmaps'], verbs: ['patch'] },
      { apiGroups: [''], resources: ['pods/exec'], verbs: ['get'] },
    ],
  ],
  [
    'keeper',
    [
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles', 'rolebindings'], verbs: everything },
      { apiGroups: [''], resources: ['configmaps'], verbs: ['update'] },
    ],
  ],
];

/** Namespaces, roles, and objects that are worth stealing. */
async function furnish(send: (asked: Asked) => Promise<Answer>): Promise<void> {
  const create = async (path: string, body: object): Promise<void> => {
    const { code, body: text } = await send({ path, body });
    if (code !== 201) throw new Error(`cannot create in ${path}: ${code} ${text}`);
  };
  const role = async (namespace: string, name: string, rules: object[]): Promise<void> => {
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await create(`${rbac}/roles`, { metadata: { name }, rules });
    await create(`${rbac}/rolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
    });
  };
  for (const name of ['plaza', 'team', 'other']) {
    await create('/api/v1/namespaces', { metadata: { name } });
    const core = `/api/v1/namespaces/${name}`;
    await create(`${core}/serviceaccounts`, { metadata: { name: 'default' } });
    for (const secret of ['allowed', 'hidden'])
      await create(`${core}/secrets`, {
        metadata: { name: secret },
        stringData: { key: `treasure-${secret}` },
      });
    await create(`${core}/configmaps`, { metadata: { name: 'board' }, data: { text: 'hello' } });
  }
  for (const [name, rules] of rolesOfTeam) await role('team', name, rules);
  await role('plaza', 'bystander', [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }]);
  for (const name of ['node-1', 'node-2']) await create('/api/v1/nodes', { metadata: { name } });
  await create('/api/v1/namespaces/team/pods', podOn('node-2', 'on-node-2'));
  await create('/api/v1/namespaces/team/pods', podOn('node-1', 'on-node-1'));
}

/** A pod that is bound already. */
export const podOn = (nodeName: string, name: string): object => ({
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'main', image: 'busybox:1' }] },
});
