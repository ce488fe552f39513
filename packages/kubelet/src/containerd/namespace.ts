import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeContext } from '@cloudless/kube/node/context';
import { identify, listProcesses, listShims, type PidRecord, readPidRecord } from './process.ts';

/** The pid file of the node's private containerd. */
export const pidFileOf = (context: NodeContext): string => join(context.paths.run, 'containerd.pid');

/** The configuration of the node's private containerd. */
export const configFileOf = (context: NodeContext): string => join(context.paths.run, 'containerd.toml');

/**
 * The node's private containerd if it runs: as its pid file says, or, where that is lost or damaged, as the list of
 * processes shows (then its configuration counts as unknown).
 */
export function findContainerd(context: NodeContext): PidRecord | undefined {
  const recorded = readPidRecord(pidFileOf(context));
  if (recorded) return recorded;
  const config = configFileOf(context);
  const found = listProcesses().find(
    ({ args }) => /(^|\/)containerd$/.test(args[0] ?? '') && args[1] === '--config' && args[2] === config,
  );
  const id = found && identify(found.pid);
  return id && { ...id, configDigest: '' };
}

const mountNamespace = (pid: number | 'self'): string => readlinkSync(`/proc/${pid}/ns/mnt`);

/** A process that lives in the node's mount namespace: containerd, or a shim it left. */
function resident(context: NodeContext): number | undefined {
  return findContainerd(context)?.pid ?? listShims(context.paths.containerdSocket)[0];
}

/** True unless containerd or its pods live in another mount namespace than this process. */
export function inNodeNamespace(context: NodeContext): boolean {
  const pid = resident(context);
  if (pid === undefined || !identify(pid)) return true;
  return mountNamespace(pid) === mountNamespace('self');
}

/**
 * What to put in front of the agent's command line, so that the kubelet and its containerd share one mount
 * namespace that belongs to the node: `[...nodeNamespacePrefix(context), node, 'agent.ts', …]`.
 *
 * - First start: a new namespace, slave of the machine's (disks mounted later appear in it) and shared within
 *   (mounts pass between kubelet, containerd and pods). Nothing mounted in it shows outside, and all of it is
 *   gone with its last process.
 * - When containerd or pods of an earlier agent still run: their namespace.
 *
 * Programs must be given by absolute path. It is for the private containerd only: with the machine's own, the
 * agent belongs into the machine's namespace.
 */
export function nodeNamespacePrefix(context: NodeContext): string[] {
  const pid = resident(context);
  if (pid !== undefined) return ['nsenter', `--mount=/proc/${pid}/ns/mnt`, `--wdns=${process.cwd()}`, '--'];
  return [
    'unshare',
    '--mount',
    '--propagation',
    'slave',
    '--',
    'sh',
    '-c',
    'mount --make-rshared / && exec "$0" "$@"',
  ];
}
