import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import type { TestCluster } from '../e2e/cluster.ts';

/** Upstream's programs beside one of our clusters, each under the identity that kubeadm gives it. */
export class UpstreamPrograms {
  readonly #cluster: TestCluster;
  readonly #children: ChildProcess[] = [];

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  #path(name: string): string {
    return join(this.#cluster.root, 'etc/kubernetes', name);
  }

  /** Starts a program with its log beside the cluster's. */
  #start(program: string, name: string, args: string[]): void {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(join(this.#cluster.root, 'var/log/cloudless', `upstream-${name}.log`));
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.once('error', (error) => log.write(`${String(error)}\n`));
    this.#children.push(child);
  }

  startControllerManager(program: string): void {
    const kubeconfig = this.#path('controller-manager.conf');
    const pki = this.#path('pki');
    this.#start(program, 'controller-manager', [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      `--client-ca-file=${pki}/ca.crt`,
      `--cluster-signing-cert-file=${pki}/ca.crt`,
      `--cluster-signing-key-file=${pki}/ca.key`,
      `--root-ca-file=${pki}/ca.crt`,
      `--service-account-private-key-file=${pki}/sa.key`,
      '--use-service-account-credentials=true',
      '--controllers=*,bootstrapsigner,tokencleaner',
      '--allocate-node-cidrs=true',
      '--cluster-cidr=10.244.0.0/16',
      '--service-cluster-ip-range=10.96.0.0/12',
      '--bind-address=127.0.0.1',
    ]);
  }

  startScheduler(program: string): void {
    const kubeconfig = this.#path('scheduler.conf');
    this.#start(program, 'scheduler', [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--bind-address=127.0.0.1',
    ]);
  }

  /** Ends them all; resolves when they are gone. */
  async stop(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.pid === undefined) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
  }
}
