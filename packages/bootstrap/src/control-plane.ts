import { createPublicKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';
import { formatKubeconfig, readKubeconfigParts } from './kubeconfig.ts';
import type { KeyAlgorithm, KeyPair, LeafSpec } from './pki/authority.ts';
import {
  BootstrapError,
  parseCertificate,
  readIfThere,
  readPair,
  writeDurably,
  writePair,
} from './pki/files.ts';
import {
  authorities,
  type AuthorityFile,
  type Names,
  plannedKubeconfigs,
  plannedLeaves,
} from './pki/plan.ts';

export interface ControlPlaneOptions {
  context: NodeContext;
  /** Addresses of this node; the first one is advertised. */
  nodeIps: readonly string[];
  /** First address of each service block, such as 10.96.0.1. */
  serviceIps: readonly string[];
  dnsDomain?: string;
  /** Host and port that kubeconfigs name; by default the first node address and the API server's port. */
  controlPlaneEndpoint?: string;
  extraSans?: readonly string[];
  clusterName?: string;
  algorithm?: KeyAlgorithm;
}

/** What {@link bootstrapControlPlane} did, file by file. */
export interface BootstrapReport {
  created: string[];
  /** Leaves issued anew: near their end, or a name was missing. */
  renewed: string[];
}

/** x509 is loaded only when something has to be issued: a start that finds everything costs no such import. */
const loadAuthority = (): Promise<typeof import('./pki/authority.ts')> => import('./pki/authority.ts');

/**
 * Makes sure that this node has the CAs, certificates, service account keys and kubeconfigs of a control plane, in
 * kubeadm's places and under its names. Idempotent. What is there is kept and checked; leaves are issued anew when a
 * third of their life or less is left or when a name or the CA changed; CAs and sa.key never are. Throws
 * {@link BootstrapError} naming the file for what cannot be used: nothing has been overwritten then.
 */
export async function bootstrapControlPlane(options: ControlPlaneOptions): Promise<BootstrapReport> {
  const { context } = options;
  const algorithm = options.algorithm ?? 'ECDSA-P256';
  const nowMs = context.clock.nowMs();
  const { pki, kubernetes } = context.paths;
  const report: BootstrapReport = { created: [], renewed: [] };
  const endpoint = options.controlPlaneEndpoint ?? `${options.nodeIps[0]}:${context.ports.apiserver}`;
  const names: Names = {
    nodeName: context.nodeName,
    nodeIps: options.nodeIps,
    serviceIps: options.serviceIps,
    dnsDomain: options.dnsDomain ?? 'cluster.local',
    controlPlaneHost: endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''),
    extraSans: options.extraSans ?? [],
  };

  const cas = new Map<AuthorityFile, KeyPair>();
  for (const { file, commonName } of authorities) {
    const found = readPair(pki, file);
    if (found) {
      checkAuthority(found.x509, join(pki, `${file}.crt`), nowMs);
      cas.set(file, found);
      continue;
    }
    const made = await (await loadAuthority()).createAuthority(commonName, algorithm, nowMs);
    writePair(pki, file, made);
    cas.set(file, made);
    report.created.push(join(pki, `${file}.crt`));
  }
  for (const leaf of plannedLeaves(names))
    await ensureLeaf(pki, leaf, cas.get(leaf.authority) as KeyPair, algorithm, nowMs, report);
  await ensureSigningKey(pki, algorithm, report);

  const ca = cas.get('ca') as KeyPair;
  for (const planned of plannedKubeconfigs(context.nodeName)) {
    const path = join(kubernetes, planned.file);
    // The control plane's own parts and this node's kubelet talk to the API server beside them.
    const local = planned.file !== 'admin.conf' && planned.file !== 'super-admin.conf';
    const server = `https://${local ? `${options.nodeIps[0]}:${context.ports.apiserver}` : endpoint}`;
    const existing = readIfThere(path);
    if (existing !== undefined && kubeconfigHolds(existing, path, server, ca, nowMs)) continue;
    const text = await issueKubeconfig(
      ca,
      { ...planned, server, clusterName: options.clusterName ?? 'kubernetes' },
      algorithm,
      nowMs,
    );
    writeDurably(path, text, 0o600);
    report[existing === undefined ? 'created' : 'renewed'].push(path);
  }
  return report;
}

function checkAuthority(ca: X509Certificate, path: string, nowMs: number): void {
  if (!ca.ca) throw new BootstrapError(`${path} is no CA certificate`);
  if (nowMs > ca.validToDate.getTime())
    throw new BootstrapError(
      `${path} expired on ${ca.validTo}: a CA is never renewed by itself; restore or replace it, then remove the leaves beside it`,
    );
  if (nowMs < ca.validFromDate.getTime())
    throw new BootstrapError(`${path} is valid from ${ca.validFrom} on: is this machine's clock right?`);
}

/** True when a certificate has more than a third of its life left. */
export function isFresh(cert: X509Certificate, nowMs: number): boolean {
  const [from, to] = [cert.validFromDate.getTime(), cert.validToDate.getTime()];
  return nowMs < to - (to - from) / 3;
}

/** `DNS:a, IP Address:b` → a set of names, IPv6 in canonical form as Node prints it. */
function namesOf(cert: X509Certificate): Set<string> {
  return new Set(
    (cert.subjectAltName ?? '')
      .split(', ')
      .map((entry) => entry.replace(/^(DNS|IP Address):/, '').toLowerCase()),
  );
}

function covers(cert: X509Certificate, wanted: readonly string[]): boolean {
  const have = namesOf(cert);
  return wanted.every((name) => have.has(name.toLowerCase()) || cert.checkIP(name) !== undefined);
}

async function ensureLeaf(
  pki: string,
  leaf: LeafSpec & { file: string },
  ca: KeyPair,
  algorithm: KeyAlgorithm,
  nowMs: number,
  report: BootstrapReport,
): Promise<void> {
  const path = join(pki, `${leaf.file}.crt`);
  const found = readPair(pki, leaf.file);
  if (found) {
    const issuer = new X509Certificate(ca.cert);
    const ours = found.x509.checkIssued(issuer) && found.x509.verify(issuer.publicKey);
    if (!ours)
      throw new BootstrapError(
        `${path} was not issued by the CA beside it (${found.x509.issuer}): remove ${path} and its key to have them issued anew`,
      );
    if (isFresh(found.x509, nowMs) && covers(found.x509, leaf.names ?? [])) return;
  }
  // Names added by hand to the old certificate stay, as kubeadm's renewal keeps them.
  const names =
    found && leaf.names
      ? [...new Set([...leaf.names, ...namesOf(found.x509)])].filter((name) => name !== '')
      : leaf.names;
  const made = await (
    await loadAuthority()
  ).issueLeaf(ca, { ...leaf, ...(names ? { names } : {}) }, algorithm, nowMs);
  writePair(pki, leaf.file, made);
  report[found ? 'renewed' : 'created'].push(path);
}

async function ensureSigningKey(
  pki: string,
  algorithm: KeyAlgorithm,
  report: BootstrapReport,
): Promise<void> {
  const [keyPath, pubPath] = [join(pki, 'sa.key'), join(pki, 'sa.pub')];
  const [key, pub] = [readIfThere(keyPath), readIfThere(pubPath)];
  if (key !== undefined) {
    let own: string;
    try {
      own = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
    } catch (cause) {
      throw new BootstrapError(`${keyPath} holds no usable private key: restore it from a backup`, { cause });
    }
    if (pub === undefined) writeDurably(pubPath, own, 0o600);
    else if (createPublicKey(pub).export({ type: 'spki', format: 'pem' }).toString() !== own)
      throw new BootstrapError(`${pubPath} does not belong to ${keyPath}: restore the pair from a backup`);
    return;
  }
  if (pub !== undefined)
    throw new BootstrapError(
      `${keyPath} is missing beside ${pubPath}: restore it, or remove sa.pub to have both made anew (tokens end then)`,
    );
  const made = await (await loadAuthority()).newSigningKey(algorithm);
  writeDurably(keyPath, made.key, 0o600);
  writeDurably(pubPath, made.pub, 0o600);
  report.created.push(keyPath);
}

function kubeconfigHolds(text: string, path: string, server: string, ca: KeyPair, nowMs: number): boolean {
  const parts = readKubeconfigParts(text, path);
  const cert = parseCertificate(parts.cert, path);
  const issuer = new X509Certificate(ca.cert);
  return (
    parts.server === server &&
    parseCertificate(parts.ca, path).fingerprint256 === issuer.fingerprint256 &&
    cert.verify(issuer.publicKey) &&
    isFresh(cert, nowMs)
  );
}

async function issueKubeconfig(
  ca: KeyPair,
  client: {
    commonName: string;
    organizations: readonly string[];
    user: string;
    server: string;
    clusterName: string;
  },
  algorithm: KeyAlgorithm,
  nowMs: number,
): Promise<string> {
  const { issueLeaf } = await loadAuthority();
  const pair = await issueLeaf(
    ca,
    { commonName: client.commonName, organizations: client.organizations, usages: ['client'] },
    algorithm,
    nowMs,
  );
  return formatKubeconfig({ ...client, ca: ca.cert, cert: pair.cert, key: pair.key });
}

/**
 * A kubeconfig for anyone, signed by this control plane's CA (`kubeadm kubeconfig user`): a person, or a node that
 * joins (`system:node:NAME` in `system:nodes`). `server` is an https URL.
 */
export async function createClientKubeconfig(options: {
  context: NodeContext;
  clientName: string;
  organizations: readonly string[];
  server: string;
  clusterName?: string;
}): Promise<string> {
  const { context } = options;
  const ca = readPair(context.paths.pki, 'ca');
  if (!ca)
    throw new BootstrapError(
      `${join(context.paths.pki, 'ca.key')} is missing: kubeconfigs are made where the cluster's CA is`,
    );
  return issueKubeconfig(
    ca,
    {
      commonName: options.clientName,
      organizations: options.organizations,
      user: options.clientName,
      server: options.server,
      clusterName: options.clusterName ?? 'kubernetes',
    },
    'ECDSA-P256',
    context.clock.nowMs(),
  );
}
