import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { type HttpsClientOptions, type HttpsKubeClient, httpsClient } from './https.ts';

/** A kubeconfig that cannot be used; the message names the place and the remedy. */
export class KubeconfigError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'KubeconfigError';
  }
}

interface Named<K extends string, V> {
  name: string;
  entry: V;
  key: K;
}

interface ClusterEntry {
  server?: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
  'tls-server-name'?: string;
  'proxy-url'?: string;
}

interface UserEntry {
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  token?: string;
  tokenFile?: string;
  exec?: unknown;
  'auth-provider'?: unknown;
  username?: string;
}

interface ContextEntry {
  cluster?: string;
  user?: string;
  namespace?: string;
}

/** What one context of a kubeconfig says: where the server is and who calls. */
export interface Kubeconfig extends HttpsClientOptions {
  context: string;
  cluster: string;
  user: string;
}

/**
 * Reads one context of a kubeconfig: `source` is a path, or the text itself when it holds a line break. File
 * references are relative to the file. Client certificate and token files stay references, since they rotate.
 * Throws {@link KubeconfigError}.
 */
export function loadKubeconfig(source: string, options: { context?: string } = {}): Kubeconfig {
  const isText = source.includes('\n');
  const place = isText ? 'the kubeconfig' : source;
  const folder = isText ? '.' : dirname(source);
  const config = readConfig(isText ? undefined : source, source, place);
  const contextName = options.context ?? text(config['current-context']);
  if (!contextName) {
    throw new KubeconfigError(`${place}: no context is chosen; set current-context or name one`);
  }
  const context = entry<'context', ContextEntry>(config, 'contexts', 'context', contextName, place);
  const clusterName = context.cluster ?? '';
  const cluster = entry<'cluster', ClusterEntry>(config, 'clusters', 'cluster', clusterName, place);
  const userName = context.user ?? '';
  const user = userName === '' ? {} : entry<'user', UserEntry>(config, 'users', 'user', userName, place);
  if (!cluster.server) throw new KubeconfigError(`${place}: cluster "${clusterName}" names no server`);
  if (cluster['proxy-url']) {
    throw new KubeconfigError(
      `${place}: cluster "${clusterName}" asks for proxy-url, which is not supported`,
    );
  }
  return {
    context: contextName,
    cluster: clusterName,
    user: userName,
    server: cluster.server,
    ca: authority(cluster, folder, place),
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'],
    tlsServerName: cluster['tls-server-name'],
    namespace: context.namespace,
    ...credentials(user, userName, folder, place),
  };
}

/** A client for one context of a kubeconfig. */
export function clientFromKubeconfig(
  source: string,
  options: { context?: string; userAgent?: string } = {},
): HttpsKubeClient {
  return httpsClient({ ...loadKubeconfig(source, options), userAgent: options.userAgent });
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function readConfig(path: string | undefined, source: string, place: string): Record<string, unknown> {
  let content = source;
  if (path !== undefined) {
    try {
      content = readFileSync(path, 'utf8');
    } catch (error) {
      throw new KubeconfigError(`cannot read the kubeconfig ${path}: ${(error as Error).message}`, error);
    }
  }
  let config: unknown;
  try {
    config = parse(content);
  } catch (error) {
    // The parser's message may quote a line with a key in it: name the place only.
    const at = (error as { linePos?: Array<{ line: number; col: number }> }).linePos?.[0];
    throw new KubeconfigError(`${place}: not YAML${at ? ` (line ${at.line}, column ${at.col})` : ''}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new KubeconfigError(
      `${place}: not a kubeconfig: expected an object with clusters, users and contexts`,
    );
  }
  return config as Record<string, unknown>;
}

function entry<K extends string, V>(
  config: Record<string, unknown>,
  list: string,
  key: K,
  name: string,
  place: string,
): V {
  const entries = Array.isArray(config[list])
    ? (config[list] as Array<Named<K, V> & Record<string, unknown>>)
    : [];
  const found = entries.find((candidate) => candidate?.name === name);
  if (!found) {
    const names = entries.map((candidate) => `"${candidate?.name}"`).join(', ') || 'none';
    throw new KubeconfigError(`${place}: ${key} "${name}" is not in ${list} (there: ${names})`);
  }
  return (found[key] ?? {}) as V;
}

const resolveFrom = (folder: string, path: string): string => (isAbsolute(path) ? path : join(folder, path));

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8');
}

function authority(cluster: ClusterEntry, folder: string, place: string): string | undefined {
  const data = cluster['certificate-authority-data'];
  if (data) return decode(data);
  const file = cluster['certificate-authority'];
  if (!file) return undefined;
  try {
    return readFileSync(resolveFrom(folder, file), 'utf8');
  } catch (error) {
    throw new KubeconfigError(
      `${place}: cannot read certificate-authority ${resolveFrom(folder, file)}: ${(error as Error).message}`,
      error,
    );
  }
}

function credentials(
  user: UserEntry,
  name: string,
  folder: string,
  place: string,
): Partial<HttpsClientOptions> {
  if (user.exec !== undefined) {
    throw new KubeconfigError(
      `${place}: user "${name}" asks to run a program for its credentials (exec), which is not supported; use a token, tokenFile or client certificate`,
    );
  }
  if (user['auth-provider'] !== undefined || user.username !== undefined) {
    throw new KubeconfigError(
      `${place}: user "${name}" uses auth-provider or a password, which the Kubernetes API no longer takes; use a token, tokenFile or client certificate`,
    );
  }
  const result: Partial<HttpsClientOptions> = {};
  const certificate = user['client-certificate-data'];
  const key = user['client-key-data'];
  const certificateFile = user['client-certificate'];
  const keyFile = user['client-key'];
  if ((certificate ?? certificateFile) !== undefined && (key ?? keyFile) === undefined) {
    throw new KubeconfigError(`${place}: user "${name}" has a client certificate without its key`);
  }
  if (certificate || key) {
    // Data wins over files, and a pair may be mixed (as in client-go).
    result.clientCert = certificate ? decode(certificate) : fileText(folder, certificateFile, place);
    result.clientKey = key ? decode(key) : fileText(folder, keyFile, place);
  } else if (certificateFile && keyFile) {
    result.clientCertFile = resolveFrom(folder, certificateFile);
    result.clientKeyFile = resolveFrom(folder, keyFile);
  }
  if (user.tokenFile) result.tokenFile = resolveFrom(folder, user.tokenFile);
  else if (user.token) result.token = user.token;
  return result;
}

function fileText(folder: string, file: string | undefined, place: string): string {
  try {
    return readFileSync(resolveFrom(folder, file ?? ''), 'utf8');
  } catch (error) {
    throw new KubeconfigError(
      `${place}: cannot read ${file ?? 'a credential'}: ${(error as Error).message}`,
      error,
    );
  }
}
