import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '@cloudless/kube/testing/free-port';
import { findPeer } from '@cloudless/kube/testing/peers';

export interface RealPowerDns {
  readonly url: string;
  readonly key: string;
  readonly dnsPort: number;
  /** What it printed. */
  output(): string;
  /** Ends it at once, as `kill -9`. */
  kill(): Promise<void>;
  /** Starts it again, with what it stored, or with nothing. */
  start(options?: { empty?: boolean }): Promise<void>;
  stop(): Promise<void>;
}

/** Debian's PowerDNS with sqlite on ports of loopback; both packages are among the test peers. */
export async function startRealPowerDns(): Promise<RealPowerDns> {
  const peer = findPeer('pdns_server');
  if (!peer) throw new Error('no pdns_server');
  const usr = dirname(dirname(peer.program));
  const schema = readFileSync(join(usr, 'share/pdns-backend-sqlite3/schema/schema.sqlite3.sql'), 'utf8');
  const folder = mkdtempSync(join(tmpdir(), 'pdns-'));
  const [port, dnsPort] = [await freePort(), await freePort()];
  const key = 'key-of-the-test';
  let child: ChildProcess | undefined;
  let output = '';
  const fill = (): void => {
    rmSync(join(folder, 'db'), { force: true });
    const database = new DatabaseSync(join(folder, 'db'));
    database.exec(schema);
    database.close();
  };
  writeFileSync(
    join(folder, 'pdns.conf'),
    [
      'launch=gsqlite3',
      `gsqlite3-database=${join(folder, 'db')}`,
      'gsqlite3-pragma-synchronous=0',
      `module-dir=${join(usr, 'lib/x86_64-linux-gnu/pdns')}`,
      `socket-dir=${folder}`,
      'local-address=127.0.0.1',
      `local-port=${dnsPort}`,
      'webserver=yes',
      'webserver-address=127.0.0.1',
      `webserver-port=${port}`,
      'api=yes',
      `api-key=${key}`,
      'loglevel=5',
      'receiver-threads=1',
      'distributor-threads=1',
      'security-poll-suffix=',
    ].join('\n'),
  );
  fill();
  const url = `http://127.0.0.1:${port}`;
  const answers = async (): Promise<boolean> => {
    const response = await fetch(`${url}/api`, { headers: { 'x-api-key': key } }).catch(() => undefined);
    return response?.status === 200;
  };
  const start = async (options: { empty?: boolean } = {}): Promise<void> => {
    if (options.empty) fill();
    child = spawn(peer.program, [`--config-dir=${folder}`, '--daemon=no', '--guardian=no'], {
      env: peer.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (output += String(text)));
    const deadlineMs = performance.now() + 20_000;
    while (!(await answers())) {
      if (child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`PowerDNS did not start: ${output}`);
      await wait(20);
    }
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url,
    key,
    dnsPort,
    output: () => output,
    kill,
    start,
    async stop() {
      await kill();
      rmSync(folder, { recursive: true });
    },
  };
}
