import { request as httpRequest } from '@cloudless/kube/builtin-http';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core, discovery } from '@cloudless/kube/resources';
import { isNotFound } from '@cloudless/kube/status';
import { metallb } from '../config/kinds.ts';
import { parseConfiguration } from '../config/parse.ts';
import { problemText } from '../config/problem.ts';
import type { SpeakerStatus } from '../speaker/status.ts';
import type { ClusterState } from './report.ts';

/** Reads everything that the report needs of the API. Kinds that are not served count as empty. */
export async function readCluster(client: KubeClient, signal: AbortSignal): Promise<ClusterState> {
  const all = async <T extends KubeObject>(resource: Resource<T>): Promise<T[]> => {
    try {
      return (await client.list(resource, { signal })).items;
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  };
  const [services, slices, nodes, l2, bgp] = await Promise.all([
    all(core.services),
    all(discovery.endpointslices),
    all(core.nodes),
    all(metallb.serviceL2Statuses),
    all(metallb.serviceBgpStatuses),
  ]);
  const [ipAddressPools, l2Advertisements, bgpAdvertisements, communities] = await Promise.all([
    all(metallb.ipAddressPools),
    all(metallb.l2Advertisements),
    all(metallb.bgpAdvertisements),
    all(metallb.communities),
  ]);
  // Peers, with their passwords, are no part of the report: advertisements may name any.
  const parsed = parseConfiguration({
    ipAddressPools,
    l2Advertisements,
    bgpAdvertisements: bgpAdvertisements.map((one) => ({ ...one, spec: { ...one.spec, peers: [] } })),
    communities,
  });
  return {
    services,
    slices,
    nodes,
    l2,
    bgp,
    config: 'config' in parsed ? parsed.config : undefined,
    problems: 'config' in parsed ? [] : parsed.problems.map(problemText),
  };
}

/** Asks the speaker of this machine; undefined when none answers. */
export function askSpeaker(port: number, timeoutMs = 2000): Promise<SpeakerStatus | undefined> {
  return new Promise((resolve) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path: '/status', timeout: timeoutMs },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(response.statusCode === 200 ? parsed(text) : undefined));
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
    request.end();
  });
}

/** Undefined for anything but a speaker's answer: the port may be somebody else's. */
function parsed(text: string): SpeakerStatus | undefined {
  try {
    return JSON.parse(text) as SpeakerStatus;
  } catch {
    return undefined;
  }
}
