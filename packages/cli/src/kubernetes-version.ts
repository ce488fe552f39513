import { readFileSync } from 'node:fs';

/** The Kubernetes release whose API and behaviour Cloudless follows. */
export const kubernetesVersion = 'v1.36.0';

/** Version of Cloudless itself. */
export const ownVersion = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
