import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { metallbKey } from '@cloudless/loadbalancer/gossip/key';
import { secretField } from '@cloudless/loadbalancer/gossip/secret';
import { speakerParts } from '@cloudless/loadbalancer/speaker/parts';
import { type SpeakerGossip, startSpeaker } from '@cloudless/loadbalancer/speaker/start';
import { detectNodeIp } from '../../machine.ts';
import { UsageError } from '../../options.ts';
import { interrupted, namedCluster, portOf } from '../named-cluster.ts';
import { namespaceOf, userAgent } from './namespace.ts';

export interface SpeakerFlags {
  kubeconfig?: string;
  nodeName?: string;
  nodeAddress?: string;
  namespace?: string;
  announcements?: string;
  strictExclude?: boolean;
  stickyAddresses?: boolean;
  ignoreExcludeLb?: boolean;
  lbClass?: string;
  mlBindport?: string;
  mlLabels?: string;
  mlSecretKeyPath?: string;
  mlWanConfig?: boolean;
  port: string;
  host: string;
}

/** `cloudless loadbalancer speaker`: MetalLB's speaker, flags and variables included, or a file's announcer without any API. */
export async function speaker(flags: SpeakerFlags): Promise<void> {
  const log = logger('speaker');
  const client = namedCluster(flags.kubeconfig, userAgent);
  if (!client && flags.announcements === undefined)
    throw new UsageError('announce what? Name a cluster with --kubeconfig, or a file with --announcements');
  const namespace = namespaceOf(flags.namespace);
  const stop = interrupted();
  const nodeName = flags.nodeName ?? process.env['METALLB_NODE_NAME'] ?? hostname();
  const started = await startSpeaker({
    nodeName,
    nodeAddress: addressOf(flags),
    client,
    namespace,
    strictExclude: flags.strictExclude,
    sticky: flags.stickyAddresses,
    ignoreExclude: flags.ignoreExcludeLb,
    loadBalancerClass: flags.lbClass,
    announcementsFile: flags.announcements === undefined ? undefined : resolve(flags.announcements),
    gossip: gossipOf(flags),
    http: { port: portOf('--port', flags.port), host: flags.host },
    log,
    parts: speakerParts({
      clock: systemClock,
      log,
      configurationNamespace: namespace,
      state: { namespace, nodeName },
    }),
  });
  await stop;
  await started.stop();
}

function addressOf(flags: SpeakerFlags): string {
  const address = flags.nodeAddress ?? process.env['METALLB_ML_BIND_ADDR'] ?? detectNodeIp();
  if (address === undefined)
    throw new UsageError('this machine has no address but loopback: give one with --node-address');
  if (isIP(address) === 0) throw new UsageError(`--node-address ${address}: expected an IP address`);
  return address;
}

function gossipOf(flags: SpeakerFlags): SpeakerGossip {
  const podSelector = flags.mlLabels ?? process.env['METALLB_ML_LABELS'];
  const port = flags.mlBindport ?? process.env['METALLB_ML_BIND_PORT'];
  const folder = flags.mlSecretKeyPath ?? process.env['METALLB_ML_SECRET_KEY_PATH'];
  const key = folder === undefined ? undefined : metallbKey(secretIn(folder));
  return {
    profile: flags.mlWanConfig ? 'wan' : 'lan',
    ...(podSelector === undefined ? {} : { podSelector }),
    ...(port === undefined ? {} : { port: portOf('--ml-bindport', port) }),
    ...(key === undefined ? {} : { key }),
  };
}

function secretIn(folder: string): Buffer {
  const path = join(resolve(folder), secretField);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`--ml-secret-key-path ${folder}: cannot read ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
}
