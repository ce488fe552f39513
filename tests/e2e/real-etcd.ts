import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './cluster.ts';

const run = promisify(execFile);

/**
 * Debian's etcd as kubeadm runs it: TLS with client certificates, on loopback. It needs a network namespace of the
 * test's own, because its ports are etcd's usual ones.
 */
export class KubeadmEtcd {
  readonly endpoint = 'https://127.0.0.1:2379';
  readonly #pki: string;
  readonly #dataFolder: string;
  #child: ChildProcess | undefined;
  #output = '';

  /** `pki`: the folder with kubeadm's `etcd/server.crt` and its kin. */
  constructor(pki: string, dataFolder: string) {
    this.#pki = pki;
    this.#dataFolder = dataFolder;
  }

  /** Flags with which `cloudless up` uses it. */
  get flags(): string[] {
    const { caFile, certFile, keyFile } = this.clientFiles;
    return [
      `--etcd-servers=${this.endpoint}`,
      `--etcd-cafile=${caFile}`,
      `--etcd-certfile=${certFile}`,
      `--etcd-keyfile=${keyFile}`,
    ];
  }

  get clientFiles(): { caFile: string; certFile: string; keyFile: string } {
    return {
      caFile: join(this.#pki, 'etcd/ca.crt'),
      certFile: join(this.#pki, 'apiserver-etcd-client.crt'),
      keyFile: join(this.#pki, 'apiserver-etcd-client.key'),
    };
  }

  /** Starts the process, again after `kill`; resolves when it answers. */
  async start(): Promise<void> {
    const file = (name: string): string => join(this.#pki, 'etcd', name);
    this.#child = spawn(
      'etcd',
      [
        `--data-dir=${this.#dataFolder}`,
        `--listen-client-urls=${this.endpoint}`,
        `--advertise-client-urls=${this.endpoint}`,
        '--listen-peer-urls=https://127.0.0.1:2380',
        '--initial-advertise-peer-urls=https://127.0.0.1:2380',
        '--initial-cluster=default=https://127.0.0.1:2380',
        `--cert-file=${file('server.crt')}`,
        `--key-file=${file('server.key')}`,
        `--trusted-ca-file=${file('ca.crt')}`,
        '--client-cert-auth',
        `--peer-cert-file=${file('peer.crt')}`,
        `--peer-key-file=${file('peer.key')}`,
        `--peer-trusted-ca-file=${file('ca.crt')}`,
        '--peer-client-cert-auth',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-4000);
    });
    await eventually('etcd answers', () => this.etcdctl('endpoint', 'health')).catch((error: Error) => {
      throw new Error(`${error.message}: ${this.#output}`, { cause: error });
    });
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Standard output of `etcdctl ARGS`, as the API server's client. */
  async etcdctl(...args: string[]): Promise<string> {
    const { caFile, certFile, keyFile } = this.clientFiles;
    const flags = [
      `--endpoints=${this.endpoint}`,
      `--cacert=${caFile}`,
      `--cert=${certFile}`,
      `--key=${keyFile}`,
    ];
    const env = { ...process.env, ETCDCTL_API: '3' };
    return (await run('etcdctl', [...flags, ...args], { env, maxBuffer: 1 << 26 })).stdout;
  }
}
