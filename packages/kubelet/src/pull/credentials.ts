import type { Secret } from '@cloudless/kube/types/core-v1';
import type { AuthConfig, Init } from '../cri/generated/types.ts';
import { parseReference } from './reference.ts';

interface DockerEntry {
  username?: string;
  password?: string;
  auth?: string;
  identitytoken?: string;
}

/**
 * The credentials of pull secrets that fit an image, the longest match first (upstream: credentialprovider
 * keyring). A secret that cannot be read is skipped: its pull then fails with the registry's own words.
 */
export function credentialsFor(image: string, secrets: readonly Secret[]): Array<Init<AuthConfig>> {
  const { registry, repository } = parseReference(image);
  const target = `${registry}/${repository}`;
  const found: Array<{ key: string; auth: Init<AuthConfig> }> = [];
  for (const secret of secrets) {
    for (const [key, entry] of entriesOf(secret)) {
      const auth = authOf(entry);
      if (auth && matches(key, target)) found.push({ key, auth });
    }
  }
  return found.sort((a, b) => b.key.length - a.key.length).map(({ auth }) => auth);
}

function entriesOf(secret: Secret): Array<[string, DockerEntry]> {
  const read = (key: string): Record<string, unknown> | undefined => {
    const text = secret.data?.[key];
    if (text === undefined) return undefined;
    try {
      const parsed: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
      return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
    } catch {
      return undefined;
    }
  };
  const auths = (read('.dockerconfigjson')?.['auths'] ?? read('.dockercfg') ?? {}) as Record<
    string,
    DockerEntry
  >;
  return Object.entries(auths);
}

function authOf(entry: DockerEntry): Init<AuthConfig> | undefined {
  let { username = '', password = '' } = entry;
  if (username === '' && entry.auth) {
    const decoded = Buffer.from(entry.auth, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon < 0) return undefined;
    username = decoded.slice(0, colon);
    password = decoded.slice(colon + 1).replace(/\0+$/, '');
  }
  if (username === '' && !entry.identitytoken) return undefined;
  return { username, password, identityToken: entry.identitytoken ?? '' };
}

/** `registry[:port][/path]`, its host with `*` as wildcard within one label; the path is a prefix. */
function matches(key: string, target: string): boolean {
  const bare = key.replace(/^https?:\/\//, '').replace(/\/$/, '');
  const official = ['index.docker.io/v1', 'index.docker.io', 'registry-1.docker.io'];
  const wanted = official.includes(bare) ? 'docker.io' : bare.replace(/\/v[12]$/, '');
  const [host = '', ...path] = wanted.split('/');
  const [targetHost = '', ...targetPath] = target.split('/');
  const [name, port] = host.split(':');
  const [targetName, targetPort] = targetHost.split(':');
  if (port !== targetPort) return false;
  const labels = (name ?? '').split('.');
  const targetLabels = (targetName ?? '').split('.');
  if (labels.length !== targetLabels.length) return false;
  const hostFits = labels.every((label, at) => globFits(label, targetLabels[at]!));
  return hostFits && path.every((part, at) => targetPath[at] === part);
}

function globFits(pattern: string, text: string): boolean {
  const escaped = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`).test(text);
}
