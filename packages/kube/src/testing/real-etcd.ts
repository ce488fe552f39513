import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { logger } from '../logger.ts';
import { selfSigned } from './certificate.ts';
import { connectEtcd, type EtcdConnection } from '../etcd/client/client.ts';

/** Another version than Debian's may be tried. */
const usualProgram = process.env['ETCD'] ?? '/usr/bin/etcd';
const startMs = 20_000;

export interface RealEtcdOptions {
  /** Path of the program; default: Debian's. */
  program?: string | undefined;
  /** Fills the data folder, which is not there yet, before the first start: a restore. */
  prepare?: ((place: { dataDir: string; peerUrl: string; memberName: string }) => Promise<void>) | undefined;
}

/** A real etcd with TLS and client certificates, for tests; Debian's package etcd-server. */
export class RealEtcd {
  readonly endpoint: string;
  readonly credentials: { ca: string; cert: string; key: string };
  readonly #program: string;
  readonly #folder: string;
  readonly #ports: readonly [number, number];
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(
    program: string,
    folder: string,
    ports: readonly [number, number],
    credentials: { cert: string; key: string },
  ) {
    this.#program = program;
    this.#folder = folder;
    this.#ports = ports;
    this.endpoint = `https://127.0.0.1:${ports[0]}`;
    this.credentials = { ca: credentials.cert, ...credentials };
  }

  static async start({ program = usualProgram, prepare }: RealEtcdOptions = {}): Promise<RealEtcd> {
    if (!existsSync(program)) throw new Error(`${program} is missing: apt-get install etcd-server`);
    const folder = mkdtempSync(join(tmpdir(), 'etcd-'));
    const credentials = await selfSigned();
    writeFileSync(join(folder, 'cert.pem'), credentials.cert);
    writeFileSync(join(folder, 'key.pem'), credentials.key, { mode: 0o600 });
    const etcd = new RealEtcd(program, folder, [await freePort(), await freePort()], credentials);
    const peerUrl = `http://127.0.0.1:${etcd.#ports[1]}`;
    await prepare?.({ dataDir: join(folder, 'data'), peerUrl, memberName: 'default' });
    etcd.launch();
    return etcd;
  }

  /** Starts the process, again after `kill`. */
  launch(): void {
    const [client, peer] = this.#ports;
    const file = (name: string): string => join(this.#folder, name);
    this.#child = spawn(
      this.#program,
      [
        `--data-dir=${file('data')}`,
        `--listen-client-urls=https://127.0.0.1:${client}`,
        `--advertise-client-urls=https://127.0.0.1:${client}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-cluster=default=http://127.0.0.1:${peer}`,
        `--cert-file=${file('cert.pem')}`,
        `--key-file=${file('key.pem')}`,
        `--trusted-ca-file=${file('cert.pem')}`,
        '--client-cert-auth',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#child.stderr?.on(
      'data',
      (data: Buffer) => (this.#output = (this.#output + data.toString()).slice(-4000)),
    );
  }

  /** Flags of etcdctl for this server. */
  get clientFlags(): string[] {
    const file = (name: string): string => join(this.#folder, name);
    const [cert, key] = [file('cert.pem'), file('key.pem')];
    return [`--endpoints=${this.endpoint}`, `--cacert=${cert}`, `--cert=${cert}`, `--key=${key}`];
  }

  /** A connection, as soon as the server answers. */
  async connect(endpoints: string[] = [this.endpoint]): Promise<EtcdConnection> {
    const log = logger('etcd-test').child({}, { level: 'silent' });
    for (const deadline = Date.now() + startMs; ;) {
      try {
        const store = await connectEtcd({ endpoints, ...this.credentials, log });
        await store.range({ key: Buffer.from('ready') });
        return store;
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`etcd does not answer: ${this.#output}`, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const exited = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await exited;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}
