import { kubernetesVersion, ownVersion } from '../kubernetes-version.ts';

/** Prints the versions. */
export function version(): void {
  process.stdout.write(`cloudless ${ownVersion}\nKubernetes ${kubernetesVersion}\nnode ${process.version}\n`);
}
