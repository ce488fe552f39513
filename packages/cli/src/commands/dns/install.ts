import { clusterDnsDeployment, externalDnsDeployment } from '@cloudless/dns/deploy/manifests';
import { customResourceDefinitions, installDefinitions } from '@cloudless/dns/external/definitions';
import { stringify } from 'yaml';
import { UsageError } from '../../options.ts';
import { Progress } from '../../progress.ts';
import { clusterOf } from '../named-cluster.ts';
import { userAgent } from './listen.ts';

export interface InstallFlags {
  kubeconfig?: string;
  root: string;
  manifests?: boolean;
  clusterDns?: boolean;
  image?: string;
  namespace: string;
  clusterIp: string;
  print?: boolean;
}

/** `cloudless dns install`. Applying it again changes nothing. */
export async function install(flags: InstallFlags): Promise<void> {
  const { image, namespace, clusterIp } = flags;
  if (flags.manifests && image === undefined)
    throw new UsageError(
      '--manifests needs --image: the reference of an image with this program, as your nodes find it',
    );
  if (!flags.manifests && image !== undefined) throw new UsageError('--image goes with --manifests');
  if (!flags.manifests && flags.clusterDns) throw new UsageError('--cluster-dns goes with --manifests');
  const manifests =
    image === undefined
      ? []
      : flags.clusterDns
        ? clusterDnsDeployment({ image, clusterIp })
        : externalDnsDeployment({ image, namespace });
  const definitions = flags.clusterDns ? [] : customResourceDefinitions();
  if (flags.print) {
    const all = [...definitions, ...manifests.map(({ object }) => object)];
    process.stdout.write(all.map((object) => `---\n${stringify(object)}`).join(''));
    return;
  }
  const { client } = clusterOf(flags, userAgent);
  const progress = new Progress();
  if (definitions.length > 0) {
    progress.step('definition of DNSEndpoint');
    const { foreign } = await installDefinitions(client);
    progress.done(foreign.length === 0 ? 'applied' : 'left as others brought it');
  }
  if (manifests.length === 0) return;
  progress.step(flags.clusterDns ? 'cluster DNS' : 'authoritative DNS');
  for (const { resource, object } of manifests) {
    const { name = '', namespace: place } = object.metadata;
    // oxlint-disable-next-line no-await-in-loop -- in their order
    await client.patch(resource, name, 'apply', object, {
      namespace: place,
      fieldManager: 'cloudless-dns',
      force: true,
    });
  }
  progress.done(`${manifests.length} objects`);
}
