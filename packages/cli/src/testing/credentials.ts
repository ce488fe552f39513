import { formatKubeconfig } from '@cloudless/bootstrap/kubeconfig';
import { createAuthority, issueLeaf, type KeyPair, newSigningKey } from '@cloudless/bootstrap/pki/authority';
import type { UserInfo } from '@cloudless/kube/user';

/** Long enough for the longest test run, short enough that nobody builds on it. */
const validityMs = 24 * 3600 * 1000;
const algorithm = 'ECDSA-P256';

/** What a cluster signs with, and who it is towards its clients. All of it is one cluster's own: another's is refused. */
export interface Credentials {
  readonly ca: KeyPair;
  readonly server: KeyPair;
  readonly admin: KeyPair;
  /** PEM of the key of service account tokens. */
  readonly serviceAccountKey: string;
  /** A client certificate that authenticates as `user`. */
  issue(user: UserInfo): Promise<KeyPair>;
}

export const adminUser: UserInfo = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

/** Makes a CA and what it signs; a few milliseconds, since the keys are P-256. Nothing is written anywhere. */
export async function createCredentials(nowMs: number): Promise<Credentials> {
  const ca = await createAuthority('kubernetes', algorithm, nowMs, validityMs);
  const issue = ({ name, groups }: UserInfo): Promise<KeyPair> =>
    issueLeaf(
      ca,
      {
        commonName: name,
        // The group of everyone who is authenticated comes with authentication.
        organizations: groups.filter((group) => group !== 'system:authenticated'),
        usages: ['client'],
      },
      algorithm,
      nowMs,
    );
  const [server, admin, signing] = await Promise.all([
    issueLeaf(
      ca,
      {
        commonName: 'kube-apiserver',
        usages: ['server'],
        names: ['localhost', '127.0.0.1', 'kubernetes.default.svc'],
      },
      algorithm,
      nowMs,
    ),
    issue(adminUser),
    newSigningKey(algorithm),
  ]);
  return { ca, server, admin, serviceAccountKey: signing.key, issue };
}

/** `KubeConfig.loadFromOptions` of @kubernetes/client-node takes this. */
export interface ClientNodeConfig {
  clusters: Array<{ name: string; server: string; caData: string; skipTLSVerify: boolean }>;
  users: Array<{ name: string; certData: string; keyData: string }>;
  contexts: Array<{ name: string; cluster: string; user: string }>;
  currentContext: string;
}

const clusterName = 'test';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

export function kubeconfigText(server: string, ca: string, user: string, { cert, key }: KeyPair): string {
  return formatKubeconfig({ clusterName, server, ca, user, cert, key });
}

export function clientNodeConfig(server: string, ca: string, user: string, pair: KeyPair): ClientNodeConfig {
  const name = `${user}@${clusterName}`;
  return {
    clusters: [{ name: clusterName, server, caData: base64(ca), skipTLSVerify: false }],
    users: [{ name: user, certData: base64(pair.cert), keyData: base64(pair.key) }],
    contexts: [{ name, cluster: clusterName, user }],
    currentContext: name,
  };
}
