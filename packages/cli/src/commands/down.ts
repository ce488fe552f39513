import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { cleanUp } from '../cleanup.ts';
import { contextOf, loadConfig } from '../cluster-config.ts';
import { Progress } from '../progress.ts';
import { askSupervisor } from '../supervisor/control-socket.ts';

/** `cloudless down`: ends everything; also what a dead supervisor left. Idempotent. */
export async function down(raw: { root: string; purge?: boolean }): Promise<void> {
  const root = resolve(raw.root);
  const config = loadConfig(root);
  if (!config) {
    process.stderr.write(`Nothing was ever started below ${root}.\n`);
    return;
  }
  const progress = new Progress();
  progress.step('stop the pods and the processes');
  await askSupervisor(contextOf(config), { command: 'stop' }, 180_000);
  progress.step('remove what is left on this machine');
  await cleanUp(config);
  if (raw.purge) {
    progress.step('delete data, certificates and images');
    const { paths } = contextOf(config);
    for (const path of [
      paths.state,
      paths.kubernetes,
      paths.kubelet,
      paths.podLogs,
      paths.containerLogs,
      paths.logs,
    ])
      rmSync(path, { recursive: true, force: true });
  }
  progress.done();
}
