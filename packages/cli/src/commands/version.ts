import { readFileSync } from 'node:fs';
import { kubernetesVersion } from '../kubernetes-version.ts';

/** Prints the versions. */
export function version(): void {
  const own = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  process.stdout.write(
    `cloudless ${own.version}\nKubernetes ${kubernetesVersion}\nnode ${process.version}\n`,
  );
}
