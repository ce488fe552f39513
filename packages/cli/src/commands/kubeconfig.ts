import { resolve } from 'node:path';
import { createClientKubeconfig } from '@cloudless/bootstrap';
import { writeDurably } from '@cloudless/bootstrap/pki/files';
import { contextOf, loadConfig } from '../cluster-config.ts';
import { isNodeName, UsageError } from '../options.ts';

async function write(
  root: string,
  clientName: string,
  organizations: readonly string[],
  out: string | undefined,
): Promise<void> {
  const config = loadConfig(resolve(root));
  if (config?.role !== 'up')
    throw new UsageError(
      `there is no control plane below ${resolve(root)}: kubeconfigs are made where 'cloudless up' ran`,
    );
  const text = await createClientKubeconfig({
    context: contextOf(config),
    clientName,
    organizations,
    server: `https://${config.nodeIp}:${config.ports.apiserver}`,
  });
  if (out === undefined) process.stdout.write(text);
  else writeDurably(resolve(out), text, 0o600);
}

/** `cloudless kubeconfig user NAME --org GROUP…`. */
export function userKubeconfig(
  name: string,
  raw: { root: string; org: string[]; out?: string },
): Promise<void> {
  return write(raw.root, name, raw.org, raw.out);
}

/** `cloudless kubeconfig node NAME`. */
export function nodeKubeconfig(name: string, raw: { root: string; out?: string }): Promise<void> {
  if (!isNodeName(name))
    throw new UsageError(
      `node name ${name}: expected lower-case letters, digits, '-' and '.' (RFC 1123), such as node-2`,
    );
  return write(raw.root, `system:node:${name}`, ['system:nodes'], raw.out);
}
