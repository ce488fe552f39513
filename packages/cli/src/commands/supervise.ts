import { readFileSync } from 'node:fs';
import type { ClusterConfig } from '../cluster-config.ts';
import { Progress } from '../progress.ts';
import { runUntilStopped } from '../supervisor/run.ts';

/** The supervisor under `--detach`: what `up` does in the foreground, with the log as its terminal. */
export async function supervise(raw: { config: string }): Promise<void> {
  const config = JSON.parse(readFileSync(raw.config, 'utf8')) as ClusterConfig;
  const progress = new Progress({ write: (text) => void process.stderr.write(text), isTerminal: false });
  await runUntilStopped(config, raw.config, progress, () => progress.note('ready'));
}
