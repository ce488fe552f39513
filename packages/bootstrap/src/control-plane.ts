import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';
import { formatKubeconfig, readKubeconfigParts } from './kubeconfig.ts';
import type { KeyAlgorithm, KeyPair } from './pki/authority.ts';
import {
  checkAuthority,
  covers,
  hasCommonName,
  isFresh,
  isIssuedBy,
  namesOf,
  unionOfNames,
} from './pki/check.ts';
import {
  BootstrapError,
  closeToOthers,
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
  type PlannedKubeconfig,
  plannedKubeconfigs,
  type PlannedLeaf,
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
  /** Issued anew: near their end, or a name was missing. */
  renewed: string[];
  /** Sentences about what a person should know: a key that others could read, a CA near its end. */
  warnings: string[];
}

/** Everything about one run; what is to be written is collected first and written when nothing was refused. */
interface Run {
  options: ControlPlaneOptions;
  algorithm: KeyAlgorithm;
  nowMs: number;
  /** CAs that are there; the others are made first of all. */
  found: Map<AuthorityFile, KeyPair & { x509: X509Certificate }>;
  authority(file: AuthorityFile): KeyPair;
  writes: Array<() => Promise<void>>;
  report: BootstrapReport;
}

/** x509 is loaded only when something has to be issued: a start that finds everything costs no such import. */
const loadAuthority = (): Promise<typeof import('./pki/authority.ts')> => import('./pki/authority.ts');

/**
 * Makes sure that this node has the CAs, certificates, service account keys and kubeconfigs of a control plane, in
 * kubeadm's places and under its names. Idempotent. What is there is kept and checked; leaves and kubeconfigs are
 * issued anew when a third of their life or less is left or when a name, the API server's address or the node's name
 * is another; CAs and sa.key never are. Everything is checked before anything is written: throws
 * {@link BootstrapError} naming the file and the remedy for what cannot be used.
 */
export async function bootstrapControlPlane(options: ControlPlaneOptions): Promise<BootstrapReport> {
  const made = new Map<AuthorityFile, KeyPair>();
  const run: Run = {
    options,
    algorithm: options.algorithm ?? 'ECDSA-P256',
    nowMs: options.context.clock.nowMs(),
    found: new Map(),
    authority: (file) => (run.found.get(file) ?? made.get(file)) as KeyPair,
    writes: [],
    report: { created: [], renewed: [], warnings: [] },
  };
  const { pki } = options.context.paths;
  const endpoint = options.controlPlaneEndpoint ?? `${options.nodeIps[0]}:${options.context.ports.apiserver}`;
  for (const { file, commonName } of authorities) {
    if (inspectAuthority(run, file)) continue;
    run.writes.push(async () => {
      const pair = await (await loadAuthority()).createAuthority(commonName, run.algorithm, run.nowMs);
      writePair(pki, file, pair);
      made.set(file, pair);
      run.report.created.push(join(pki, `${file}.crt`));
    });
  }
  for (const leaf of plannedLeaves(namesFor(options, endpoint))) inspectLeaf(run, leaf);
  inspectSigningKey(run);
  for (const planned of plannedKubeconfigs(options.context.nodeName))
    inspectKubeconfig(run, planned, endpoint);
  for (const write of run.writes) await write();
  return run.report;
}

function namesFor(options: ControlPlaneOptions, endpoint: string): Names {
  return {
    nodeName: options.context.nodeName,
    nodeIps: options.nodeIps,
    serviceIps: options.serviceIps,
    dnsDomain: options.dnsDomain ?? 'cluster.local',
    controlPlaneHost: endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''),
    extraSans: options.extraSans ?? [],
  };
}

function warn(run: Run, sentence: string | undefined): void {
  if (sentence !== undefined) run.report.warnings.push(sentence);
}

/** Whether the CA is there and can be used. */
function inspectAuthority(run: Run, file: AuthorityFile): boolean {
  const { pki } = run.options.context.paths;
  const found = readPair(pki, file);
  if (!found) return false;
  warn(run, checkAuthority(found.x509, join(pki, `${file}.crt`), run.nowMs));
  warn(run, closeToOthers(join(pki, `${file}.key`)));
  run.found.set(file, found);
  return true;
}

/** The CA that must be there, because something that it signed is. */
function authorityOf(run: Run, file: AuthorityFile, signed: string): X509Certificate {
  const found = run.found.get(file);
  if (found) return found.x509;
  const path = join(run.options.context.paths.pki, `${file}.crt`);
  throw new BootstrapError(
    `${path} and its key are missing, but ${signed} is there: restore the CA from a backup; or remove what it signed to begin anew`,
  );
}

function inspectLeaf(run: Run, leaf: PlannedLeaf): void {
  const { pki } = run.options.context.paths;
  const path = join(pki, `${leaf.file}.crt`);
  const found = readPair(pki, leaf.file);
  if (found) {
    const ca = authorityOf(run, leaf.authority, path);
    if (!isIssuedBy(found.x509, ca))
      throw new BootstrapError(
        `${path} was not issued by the CA beside it (${found.x509.issuer}): remove ${path} and its key to have them issued anew`,
      );
    warn(run, closeToOthers(join(pki, `${leaf.file}.key`)));
    if (isFresh(found.x509, ca, run.nowMs) && covers(found.x509, leaf.names ?? [])) return;
  }
  // Names added by hand to the old certificate stay, as kubeadm's renewal keeps them.
  const names = leaf.names && unionOfNames(leaf.names, found ? namesOf(found.x509) : []);
  run.writes.push(async () => {
    const { issueLeaf } = await loadAuthority();
    const spec = { ...leaf, ...(names ? { names } : {}) };
    writePair(pki, leaf.file, await issueLeaf(run.authority(leaf.authority), spec, run.algorithm, run.nowMs));
    run.report[found ? 'renewed' : 'created'].push(path);
  });
}

/** The public half of a PEM key, private or public, in its standard form. */
function publicHalf(pem: string, path: string): string {
  try {
    return createPublicKey(pem).export({ type: 'spki', format: 'pem' });
  } catch (cause) {
    throw new BootstrapError(`${path} holds no usable key: restore it from a backup`, { cause });
  }
}

function inspectSigningKey(run: Run): void {
  const { pki } = run.options.context.paths;
  const [keyPath, pubPath] = [join(pki, 'sa.key'), join(pki, 'sa.pub')];
  const [key, pub] = [readIfThere(keyPath), readIfThere(pubPath)];
  if (key !== undefined) {
    const own = publicHalf(key, keyPath);
    warn(run, closeToOthers(keyPath));
    if (pub === undefined) run.writes.push(async () => writeDurably(pubPath, own, 0o600));
    else if (publicHalf(pub, pubPath) !== own)
      throw new BootstrapError(`${pubPath} does not belong to ${keyPath}: restore the pair from a backup`);
    return;
  }
  if (pub !== undefined)
    throw new BootstrapError(
      `${keyPath} is missing beside ${pubPath}: restore it, or remove sa.pub to have both made anew (tokens end then)`,
    );
  run.writes.push(async () => {
    const made = await (await loadAuthority()).newSigningKey(run.algorithm);
    writeDurably(keyPath, made.key, 0o600);
    writeDurably(pubPath, made.pub, 0o600);
    run.report.created.push(keyPath);
  });
}

function inspectKubeconfig(run: Run, planned: PlannedKubeconfig, endpoint: string): void {
  const { context, nodeIps, clusterName = 'kubernetes' } = run.options;
  const path = join(context.paths.kubernetes, planned.file);
  // The control plane's own parts and this node's kubelet talk to the API server beside them.
  const local = planned.file !== 'admin.conf' && planned.file !== 'super-admin.conf';
  const server = `https://${local ? `${nodeIps[0]}:${context.ports.apiserver}` : endpoint}`;
  const existing = readIfThere(path);
  if (existing !== undefined) {
    const ca = authorityOf(run, 'ca', path);
    warn(run, closeToOthers(path));
    if (kubeconfigHolds(existing, path, { server, commonName: planned.commonName, ca, nowMs: run.nowMs }))
      return;
  }
  run.writes.push(async () => {
    const client = { ...planned, server, clusterName };
    const text = await issueKubeconfig(run.authority('ca'), client, run.algorithm, run.nowMs);
    writeDurably(path, text, 0o600);
    run.report[existing === undefined ? 'created' : 'renewed'].push(path);
  });
}

function kubeconfigHolds(
  text: string,
  path: string,
  wanted: { server: string; commonName: string; ca: X509Certificate; nowMs: number },
): boolean {
  const parts = readKubeconfigParts(text, path);
  const cert = parseCertificate(parts.cert, path);
  let matches: boolean;
  try {
    matches = cert.checkPrivateKey(createPrivateKey(parts.key));
  } catch {
    // The cause may quote the key: it is left out.
    matches = false;
  }
  if (!matches)
    throw new BootstrapError(
      `${path} has a key that is not its certificate's: remove it to have it made anew`,
    );
  return (
    parts.server === wanted.server &&
    parseCertificate(parts.ca, path).fingerprint256 === wanted.ca.fingerprint256 &&
    hasCommonName(cert, wanted.commonName) &&
    isIssuedBy(cert, wanted.ca) &&
    isFresh(cert, wanted.ca, wanted.nowMs)
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
 * joins (`system:node:NAME` in `system:nodes`). `server` is an https URL. Throws {@link BootstrapError} when the CA
 * is missing or cannot be used.
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
  checkAuthority(ca.x509, join(context.paths.pki, 'ca.crt'), context.clock.nowMs());
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
