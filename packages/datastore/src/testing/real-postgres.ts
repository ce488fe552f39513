import type { ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import {
  copyTemplate,
  makeFolder,
  spawnServer,
  superuser,
  tool,
  writePrivately,
} from './postgres-program.ts';

const startMs = 20_000;
/** Below the kernel's range for outgoing connections, so that a restarted server finds its port free. */
const firstPort = 20_000;
const ports = 12_000;

/** Settings of `postgresql.conf`. */
export type PostgresSettings = Readonly<Record<string, string | number>>;

/**
 * A private PostgreSQL server for tests (Debian's package `postgresql`): a cluster in a temporary folder, on a
 * loopback port of its own, with a superuser and a password. It ends with the test's process.
 *
 * ```ts
 * const server = await RealPostgres.start();
 * const store = await openPostgresDatastore({ url: await server.database() });
 * await server.kill(); // as kill -9 of every process of it
 * await server.launch();
 * await server.stop();
 * ```
 */
export class RealPostgres {
  readonly port: number;
  /** Of {@link user}, who may do everything. */
  readonly password: string;
  readonly user = superuser;
  /** Holds `data` (the cluster) and the unix socket `.s.PGSQL.PORT`. */
  readonly folder: string;
  #child: ChildProcess | undefined;
  #output = '';
  #databases = 0;

  private constructor(folder: string, port: number, password: string) {
    this.folder = folder;
    this.port = port;
    this.password = password;
  }

  /**
   * Starts an empty server: 0.2 s once this machine's template is made.
   *
   * @param settings such as `{ fsync: 'off' }`; PostgreSQL's defaults otherwise, full durability included
   * @param parent where its folder is made, if not with the temporary ones
   */
  static async start(settings: PostgresSettings = {}, parent?: string): Promise<RealPostgres> {
    const folder = makeFolder(parent);
    try {
      const password = await copyTemplate(join(folder, 'data'));
      const server = new RealPostgres(folder, await freePort(), password);
      server.configure({ shared_buffers: '32MB', max_connections: 60, wal_keep_size: '64MB', ...settings });
      await server.launch();
      return server;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The address of a database; `postgres` is there from the start. */
  url(database = 'postgres', user = this.user, password = this.password): string {
    return `postgres://${user}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  /** Creates an empty database; its address. */
  async database(name = `test${++this.#databases}`): Promise<string> {
    await this.query(`CREATE DATABASE "${name}"`);
    return this.url(name);
  }

  /** Runs SQL as the superuser. */
  async query(sql: string, database = 'postgres'): Promise<Array<Record<string, unknown>>> {
    const client = new Client({ connectionString: this.url(database), connectionTimeoutMillis: startMs });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const result = await client.query<Record<string, unknown>>(sql);
      return result.rows;
    } finally {
      await client.end();
    }
  }

  /** Adds settings to `postgresql.conf`; they take effect with the next start or `reload()`. */
  configure(settings: PostgresSettings): void {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
    appendFileSync(join(this.folder, 'data', 'postgresql.conf'), lines.join(''));
  }

  async reload(): Promise<void> {
    await this.query('SELECT pg_reload_conf()');
  }

  /** Starts the server again after `kill` or `shutdown`: same data, same port. */
  async launch(): Promise<void> {
    const data = join(this.folder, 'data');
    const child = spawnServer([
      '-D',
      data,
      '-p',
      String(this.port),
      '-c',
      'listen_addresses=127.0.0.1',
      '-c',
      `unix_socket_directories=${this.folder}`,
    ]);
    this.#child = child;
    this.#output = '';
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string): void => reject(new Error(`PostgreSQL ${why}: ${this.#output.slice(-2000)}`));
    const timer = setTimeout(() => fail('does not start'), startMs);
    child.once('error', reject);
    child.once('exit', () => fail('ended at its start'));
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-16_000);
      if (/database system is ready to accept (read-only )?connections/.test(this.#output)) resolve();
    });
    await promise.finally(() => clearTimeout(timer));
  }

  /** What the server wrote to its log since it was started, the last of it. */
  get output(): string {
    return this.#output;
  }

  /** `kill -9` of every process of the server at one moment: nothing of it runs on. */
  async kill(): Promise<void> {
    await this.#signalAll('SIGKILL');
  }

  /** Freezes every process of the server: connections stay open and nothing answers. */
  async freeze(): Promise<void> {
    await this.#signalAll('SIGSTOP');
  }

  thaw(): void {
    for (const pid of this.#pids().reverse()) signal(pid, 'SIGCONT');
  }

  /** An orderly end (PostgreSQL's fast shutdown); `launch()` starts it again. */
  async shutdown(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    await exited;
  }

  /** An orderly end and a new start. */
  async restart(): Promise<void> {
    await this.shutdown();
    await this.launch();
  }

  /** Ends the server and removes its data. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Starts a replica of this server. `synchronous`: commits here wait for it (`synchronous_standby_names`), so
   * that nothing acknowledged is missing on it.
   */
  async standby({ synchronous = false } = {}): Promise<RealPostgres> {
    const folder = makeFolder();
    try {
      const source = `host=127.0.0.1 port=${this.port} user=${this.user} application_name=standby`;
      await tool(
        'pg_basebackup',
        ['-D', join(folder, 'data'), '-d', source, '-R', '-X', 'stream', '-c', 'fast', '--no-sync'],
        { PGPASSWORD: this.password },
      );
      const standby = new RealPostgres(folder, await freePort(), this.password);
      await standby.launch();
      if (synchronous) {
        this.configure({ synchronous_standby_names: 'standby' });
        await this.reload();
        await this.#until("SELECT count(*) > 0 AS done FROM pg_stat_replication WHERE sync_state = 'sync'");
      }
      return standby;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Lets a replica catch up with its primary once more, and then follow it no longer. */
  async detach(primary: RealPostgres): Promise<void> {
    const [row] = await primary.query('SELECT pg_current_wal_lsn()::text AS lsn');
    await this.#until(`SELECT pg_last_wal_replay_lsn() >= '${String(row?.['lsn'])}' AS done`);
    await this.query("ALTER SYSTEM SET primary_conninfo = ''");
    await this.reload();
    await this.#until('SELECT count(*) = 0 AS done FROM pg_stat_wal_receiver');
  }

  async #until(sql: string): Promise<void> {
    for (;;) {
      const [row] = await this.query(sql);
      if (row?.['done'] === true) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Makes a replica the primary; resolves when it takes writes. */
  async promote(): Promise<void> {
    // A former primary's wish for a synchronous replica came along with the copy, or later by hand.
    this.configure({ synchronous_standby_names: '' });
    await this.reload();
    await this.query('SELECT pg_promote(true, 20)');
  }

  /** Lets the server take TLS connections with this certificate and key (PEM). */
  async enableTls(cert: string, key: string): Promise<void> {
    writePrivately(join(this.folder, 'data', 'server.crt'), cert);
    writePrivately(join(this.folder, 'data', 'server.key'), key);
    this.configure({ ssl: 'on' });
    await this.reload();
  }

  /** The postmaster and its children. */
  #pids(): number[] {
    const postmaster = this.#child?.pid;
    if (postmaster === undefined || !isAlive(postmaster)) return [];
    const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
    return [postmaster, ...children.split(' ').filter(Boolean).map(Number)];
  }

  async #signalAll(name: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
    const postmaster = this.#child?.pid;
    if (postmaster === undefined || !isAlive(postmaster)) return;
    // Until it is reaped, a new one takes it for running.
    const exited = new Promise((resolve) => this.#child?.once('exit', resolve));
    // A stopped postmaster starts no child and mourns none.
    signal(postmaster, 'SIGSTOP');
    while (stateOf(postmaster) !== 'T') await new Promise((resolve) => setImmediate(resolve));
    const pids = this.#pids();
    for (const pid of pids.reverse()) signal(pid, name);
    if (name === 'SIGSTOP') return;
    await exited;
    while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The letter of proc(5), undefined when there is no such process. */
function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  const state = stateOf(pid);
  return state !== undefined && state !== 'Z' && state !== 'X';
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = firstPort + Math.floor(Math.random() * ports);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer().once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
