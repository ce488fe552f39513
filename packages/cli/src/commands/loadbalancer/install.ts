import { installDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { customResourceDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { deployment } from '@cloudless/loadbalancer/deploy/manifests';
import { stringify } from 'yaml';
import { UsageError } from '../../options.ts';
import { Progress } from '../../progress.ts';
import { clusterOf } from '../named-cluster.ts';
import { userAgent } from './namespace.ts';

export interface InstallFlags {
  kubeconfig?: string;
  root: string;
  manifests?: boolean;
  image?: string;
  namespace: string;
  print?: boolean;
}

/** `cloudless loadbalancer install`. Applying it again changes nothing. */
export async function install(flags: InstallFlags): Promise<void> {
  if (flags.manifests && flags.image === undefined)
    throw new UsageError(
      '--manifests needs --image: the reference of an image with this program, as your nodes find it',
    );
  if (!flags.manifests && flags.image !== undefined) throw new UsageError('--image goes with --manifests');
  const { image, namespace } = flags;
  const manifests = image === undefined ? [] : deployment({ image, namespace });
  if (flags.print) {
    const all = [...customResourceDefinitions(), ...manifests.map(({ object }) => object)];
    process.stdout.write(all.map((object) => `---\n${stringify(object)}`).join(''));
    return;
  }
  const { client } = clusterOf(flags, userAgent);
  const progress = new Progress();
  progress.step('definitions of metallb.io');
  const { applied, foreign } = await installDefinitions(client);
  progress.done(
    foreign.length === 0
      ? `${applied.length} applied`
      : `${applied.length} applied; left as others brought them: ${foreign.join(', ')}`,
  );
  if (manifests.length === 0) return;
  progress.step('controller and speakers');
  for (const { resource, object } of manifests) {
    const { name = '', namespace: place } = object.metadata;
    // oxlint-disable-next-line no-await-in-loop -- in their order
    await client.patch(resource, name, 'apply', object, {
      namespace: place,
      fieldManager: 'cloudless-loadbalancer',
      force: true,
    });
  }
  progress.done(`${manifests.length} objects in ${namespace}`);
}
