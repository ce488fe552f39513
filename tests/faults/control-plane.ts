import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { contextOf, saveConfig } from '../../packages/cli/src/cluster-config.ts';
import { detectNodeIp } from '../../packages/cli/src/machine.ts';
import { addressIn, parseOptions } from '../../packages/cli/src/options.ts';
import { keepCertificates } from '../../packages/cli/src/processes/certificates.ts';
import type { ChildMessage } from '../../packages/cli/src/supervisor/child.ts';
import { repository } from '../e2e/cluster.ts';

const readyWithinMs = 60_000;

/**
 * The control plane process as the supervisor starts it, but without the supervisor's back-off: hundreds of kills
 * take minutes, and a kill can hit any moment of a start.
 */
export class ControlPlane {
  readonly root: string;
  readonly kubeconfig: string;
  readonly #configPath: string;
  readonly #logPath: string;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #ready: Promise<void> = Promise.resolve();

  private constructor(root: string, kubeconfig: string, configPath: string) {
    this.root = root;
    this.kubeconfig = kubeconfig;
    this.#configPath = configPath;
    this.#logPath = join(root, 'control-plane.log');
  }

  /** Certificates and configuration below a new folder; nothing runs yet. */
  static async prepare(): Promise<ControlPlane> {
    const root = mkdtempSync('/tmp/cl-');
    const options = parseOptions({ root, nodeName: 'node-1', runtime: 'simulated' });
    const nodeIp = detectNodeIp();
    if (nodeIp === undefined) throw new Error('no address: call addUplink() first');
    const context = contextOf(options);
    const configPath = saveConfig(context, {
      ...options,
      role: 'up',
      nodeIp,
      simulatedBecause: undefined,
      dnsIp: addressIn(options.serviceCidr, 10),
      nodeKubeconfig: context.paths.kubeletKubeconfig,
    });
    await keepCertificates({ ...options, nodeIp } as Parameters<typeof keepCertificates>[0]);
    return new ControlPlane(root, context.paths.adminKubeconfig, configPath);
  }

  /** Starts the process; `ready()` tells when it is. */
  start(): void {
    const log = openSync(this.#logPath, 'a', 0o640);
    const main = join(repository, 'packages/cli/src/main.ts');
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        main,
        'process',
        'control-plane',
        '--config',
        this.#configPath,
      ],
      // By the channel the process ends when this one does.
      { stdio: ['ignore', log, log, 'ipc'] },
    );
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    this.#ready = this.#becomesReady(child);
    // A killed start is nobody's failure.
    this.#ready.catch(() => {});
  }

  async #becomesReady(child: ChildProcess): Promise<void> {
    const outcome = Promise.withResolvers<string | undefined>();
    child.on('message', (message: ChildMessage) => {
      if (message.type === 'ready') outcome.resolve(undefined);
      if (message.type === 'fatal') outcome.resolve(`gave up: ${message.message}`);
    });
    child.once('exit', (code, signal) => outcome.resolve(`ended: ${signal ?? `exit code ${code}`}`));
    const late = setTimeout(() => outcome.resolve(`is not ready in ${readyWithinMs} ms`), readyWithinMs);
    const failure = await outcome.promise;
    clearTimeout(late);
    if (failure !== undefined) throw new Error(`the control plane ${failure}${this.logTail()}`);
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM; resolves with its exit code when it is gone. */
  async stop(): Promise<number | null> {
    this.#child?.kill('SIGTERM');
    await this.#exited;
    return this.#child?.exitCode ?? null;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.root, { recursive: true, force: true });
  }

  logTail(): string {
    return `\n${readFileSync(this.#logPath, 'utf8').split('\n').slice(-20).join('\n')}`;
  }
}
