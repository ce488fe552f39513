import { defaultPorts } from '@cloudless/kube/node/context';
import { askSpeaker, readCluster } from '@cloudless/loadbalancer/status/collect';
import { type ClusterState, statusReport } from '@cloudless/loadbalancer/status/report';
import { reportText } from '@cloudless/loadbalancer/status/text';
import { resolve } from 'node:path';
import { loadConfig } from '../../cluster-config.ts';
import { UsageError } from '../../options.ts';
import { clusterOf } from '../named-cluster.ts';
import { userAgent } from './namespace.ts';

export interface StatusFlags {
  kubeconfig?: string;
  root: string;
  output: string;
}

const apiTimeoutMs = 5000;

/** `cloudless loadbalancer status`. Works from the speaker of this machine alone where the API does not answer. */
export async function status(flags: StatusFlags): Promise<void> {
  if (flags.output !== 'text' && flags.output !== 'json')
    throw new UsageError(`--output ${flags.output}: expected text or json`);
  const config = loadConfig(resolve(flags.root));
  const speaker = await askSpeaker(config?.ports.speakerHealth ?? defaultPorts.speakerHealth);
  let cluster: ClusterState | undefined;
  let why: string | undefined;
  try {
    cluster = await readCluster(clusterOf(flags, userAgent).client, AbortSignal.timeout(apiTimeoutMs));
  } catch (error) {
    // With neither there is nothing to tell but this.
    if (!speaker) throw error;
    why = `as this machine's speaker sees it alone: ${(error as Error).message}`;
  }
  const report = statusReport({ cluster, speaker, strictExclude: config?.strictExclude ?? false });
  const whole = why === undefined ? report : { ...report, problems: [...report.problems, why] };
  process.stdout.write(
    flags.output === 'json' ? `${JSON.stringify(whole, null, 2)}\n` : reportText(whole, Date.now()),
  );
}
