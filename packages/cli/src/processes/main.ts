import { readFileSync } from 'node:fs';
import { logger } from '@cloudless/kube/logger';
import type { ClusterConfig } from '../cluster-config.ts';
import { UsageError } from '../options.ts';
import { collectOnceIdle } from './idle-collection.ts';
import { report } from './report.ts';
import { processTitle } from './title.ts';

const log = logger('process');
const simulatedRemedy = '; mend it, or run pods as a state machine with --runtime simulated';

/**
 * Runs one of the supervised processes until it is told to end. Errors that a restart cannot mend are reported as
 * fatal, others end the process with code 1 and the supervisor starts it again.
 */
export async function runProcess(name: string, configPath: string): Promise<void> {
  const config = JSON.parse(readFileSync(configPath, 'utf8')) as ClusterConfig;
  process.title = processTitle(name, config.root);
  const collection = collectOnceIdle();
  try {
    switch (name) {
      case 'control-plane':
        await (await import('./control-plane.ts')).runControlPlane(config);
        break;
      case 'node-agent':
        await (await import('./node-agent.ts')).runNodeAgent(config);
        break;
      case 'dns':
        await (await import('./dns/process.ts')).runDns(config);
        break;
      case 'speaker':
        await (await import('./speaker.ts')).runSpeaker(config);
        break;
      default:
        throw new UsageError(`there is no process '${name}'`);
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    log.fatal({ process: name, err: error instanceof Error ? error.stack : message }, 'ended by an error');
    // Whoever cannot mend containerd now can still have a cluster.
    const remedy = error instanceof Error && error.name === 'ContainerdError' ? simulatedRemedy : '';
    if (isFatal(error)) report({ type: 'fatal', message: `${message}${remedy}` });
    process.exitCode = 1;
    // Whatever the failed start left behind must not keep a useless process alive.
    setTimeout(() => process.exit(1), 3000).unref();
  }
  await collection.stop();
  if (process.connected) process.disconnect?.();
}

/** Whether starting again would only fail again. */
function isFatal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE' || code === 'EACCES') return true;
  return [
    'UsageError',
    'MachineError',
    'DatastoreFileError',
    'ContainerdError',
    'BootstrapError',
    'KubeletConfigError',
    'AuditPolicyError',
    'AuditLogError',
  ].includes(error.name);
}
