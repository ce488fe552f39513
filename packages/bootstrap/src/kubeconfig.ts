import { parse, stringify } from 'yaml';
import { BootstrapError } from './pki/files.ts';

export interface ClientKubeconfig {
  clusterName: string;
  server: string;
  /** PEM. */
  ca: string;
  user: string;
  cert: string;
  key: string;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const fromBase64 = (text: string): string => Buffer.from(text, 'base64').toString('utf8');

/** A kubeconfig with a client certificate inside, named as kubeadm names its parts. */
export function formatKubeconfig(config: ClientKubeconfig): string {
  const context = `${config.user}@${config.clusterName}`;
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        cluster: { 'certificate-authority-data': base64(config.ca), server: config.server },
        name: config.clusterName,
      },
    ],
    contexts: [{ context: { cluster: config.clusterName, user: config.user }, name: context }],
    'current-context': context,
    users: [
      {
        name: config.user,
        user: { 'client-certificate-data': base64(config.cert), 'client-key-data': base64(config.key) },
      },
    ],
  });
}

/** What is checked of an existing kubeconfig. */
export interface KubeconfigParts {
  server: string;
  ca: string;
  cert: string;
  key: string;
}

/** Reads back what {@link formatKubeconfig} or kubeadm wrote; throws naming the file. */
export function readKubeconfigParts(text: string, path: string): KubeconfigParts {
  try {
    const config = parse(text) as {
      clusters: Array<{ cluster: { server: string; 'certificate-authority-data': string } }>;
      users: Array<{ user: { 'client-certificate-data': string; 'client-key-data': string } }>;
    };
    const cluster = (config.clusters[0] as (typeof config.clusters)[number]).cluster;
    const user = (config.users[0] as (typeof config.users)[number]).user;
    if (typeof cluster.server !== 'string') throw new Error('no server');
    return {
      server: cluster.server,
      ca: fromBase64(cluster['certificate-authority-data']),
      cert: fromBase64(user['client-certificate-data']),
      key: fromBase64(user['client-key-data']),
    };
  } catch {
    // The cause may quote a key: it is left out.
    throw new BootstrapError(
      `${path} is no kubeconfig with a client certificate inside: remove it to have it made anew`,
    );
  }
}
