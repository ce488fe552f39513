// `ETCD=… ETCDCTL=… node --test tests/upstream/etcdctl.ts`: types the same into etcdctl against an etcd and against our
// datastore; what it prints must be equal, but for who the servers are and how long things took.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePort } from '@cloudless/kube/testing/free-port';
import { startProcess, stopProcess } from './servers.ts';

const etcd = process.env['ETCD'] ?? 'etcd';
const etcdctl = process.env['ETCDCTL'] ?? 'etcdctl';
const launcher = join(import.meta.dirname, '../../bin/cloudless');

interface Step {
  args: string;
  /** Typed in. */
  input?: string;
  /** A watch: ended after what it prints has come. */
  lasts?: boolean;
}

const step = (args: string, input?: string): Step => ({ args, ...(input === undefined ? {} : { input }) });
const watch = (args: string): Step => ({ args, lasts: true });

const steps: readonly Step[] = [
  step('put a 1'),
  step('put a 2 --prev-kv'),
  step('put a 3 -w json --prev-kv'),
  step('get a'),
  step('get a -w json'),
  step('get a -w fields'),
  step('get a --print-value-only'),
  step('get a --rev=2'),
  step('get a --rev=99'),
  step('get nothing -w json'),
  step('put b 1'),
  step('put c 9'),
  step('put d 5'),
  step('get a d'),
  step('get a d --limit=2 -w json'),
  step('get b --from-key --keys-only'),
  step('get --prefix "" --keys-only'),
  step('get a z --order=DESCEND --sort-by=VALUE'),
  step('get a z --order=ASCEND --sort-by=MODIFY --limit=2'),
  step('get a z --count-only -w fields'),
  step('put b --ignore-value'),
  step('put nothing --ignore-value'),
  step('put "" x'),
  step('del b --prev-kv'),
  step('del b -w json'),
  step('del a z --prev-kv -w json'),
  step('get a --rev=3'),
  step('txn -i', 'value("a") = "3"\nversion("b") = "0"\n\nput t1 yes\nget t1\n\nput t1 no\nget a\n\n'),
  step('txn', 'mod("t1") > "0"\n\nput t1 again\ndel t1x\nget t1\n\nget nothing\n\n'),
  step('txn -w json', 'create("t1") = "0"\n\nput t1 never\n\nget t1\nput t2 2\n\n'),
  step('txn', 'value("t1") = "x"\n\nput k 1\nput k 2\n\n\n'),
  step('lease grant 600 -w json'),
  step('lease timetolive 1234'),
  step('lease revoke 1234'),
  step('lease keep-alive 1234 --once'),
  step('put leased v --lease=1234'),
  watch('watch a --rev=2'),
  watch('watch --prefix t --rev=2 --prev-kv'),
  watch('watch a z --rev=3 -w json'),
  step('compact 5'),
  step('compact 5'),
  step('compact 99'),
  step('get a --rev=3'),
  watch('watch a --rev=2'),
  step('compact 8 --physical'),
  step('alarm list'),
  step('member list -w json'),
  step('alarm disarm'),
  step('defrag'),
  step('endpoint health'),
  step('endpoint hashkv -w json'),
  step('get --prefix "" -w json'),
  step('lease grant 600'),
  step('put l1 v --lease=LEASE'),
  step('get l1 -w json'),
  step('lease timetolive LEASE --keys'),
  step('lease timetolive LEASE --keys -w json'),
  step('lease timetolive LEASE -w fields'),
  step('lease keep-alive LEASE --once'),
  step('lease list'),
  step('put l1 v2 --ignore-lease'),
  step('put l2 v'),
  step('put l2 --ignore-value --lease=LEASE'),
  step('get --prefix l'),
  step('lease revoke LEASE'),
  step('lease revoke LEASE'),
  step('lease list'),
  step('get --prefix l'),
  step('get t1 --hex'),
  step('get t1 --consistency=s'),
  step('get a z --sort-by=CREATE --order=DESCEND'),
  step('get a z --sort-by=VERSION'),
  step('get a z --sort-by=KEY --order=DESCEND --limit 1 --keys-only'),
  step('get a --from-key --prefix'),
  step('put t2 x -w fields'),
  step('del t2 -w fields'),
  step('del --prefix t2'),
  step('txn', 'c("x") != "0"\nval("x") < "2"\n\ndel x\n\nget x\n\n'),
  step('txn -w fields', 'ver("x") > "99999999999"\n\n\nput y 1\n\n'),
  watch('watch y --rev=1'),
  watch('watch y --rev=10 -- env'),
  watch('watch y --rev=99999'),
  { args: 'watch -i', input: 'watch --prefix t --rev=10 --prev-kv\n', lasts: true },
  step('lock mylock echo locked'),
  step('get --prefix mylock --count-only -w fields'),
  watch('elect race one'),
  step('snapshot save FOLDER/snapshot.db'),
  step('compact 12 --physical'),
  step('del "" --from-key'),
  step('get --prefix ""'),
];

/** Who the servers are, and how long things took. */
function normalize(text: string, port: number, lease: string | undefined): string {
  const named = lease === undefined ? text : withoutLease(text, lease);
  return (
    named
      .replaceAll(String(port), 'PORT')
      .replaceAll(/remaining\(\d+s\)|"ttl":59\d|"TTL" : 59\d/g, 'TTL')
      .replaceAll(/^[0-9a-f]{16}$/gm, 'LEASE')
      .replaceAll(/^Server version .*$/gm, 'Server version V')
      .replaceAll(/^(race|mylock)\/[0-9a-f]+$/gm, '$1/SESSION')
      // The environment of a program that a watch starts, but for what the watch adds.
      .replaceAll(/^(?!ETCD_WATCH)[A-Za-z_]\w*=.*\n/gm, '')
      .replaceAll(/\{"level":"info".*\n/g, '')
      .replaceAll(/"(cluster_id|member_id|raft_term)":\d+/g, '"$1":N')
      .replaceAll(/"(ClusterID|MemberID|RaftTerm)" : \d+/g, '"$1" : N')
      .replaceAll(/"ID":\d+/g, '"ID":N')
      .replaceAll(/"name":"\w+"|"peerURLs":\[[^\]]*\],/g, '')
      .replaceAll(/took[ =:]+[\d.]+[µmn]?s|Took [^ ]*s/g, 'took T')
      .replaceAll(/"ts":"[^"]*"|"target":"[^"]*"|"caller":"[^"]*"/g, '')
      .replaceAll(/^took T$/gm, '')
  );
}

const withoutLease = (text: string, lease: string): string =>
  text.replaceAll(lease, 'LEASE').replaceAll(String(BigInt(`0x${lease}`)), 'LEASE');

class Server {
  readonly child: ChildProcess;
  readonly port: number;
  /** The lease granted last. */
  #lease: string | undefined;

  constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  run({ args, input, lasts }: Step): Promise<string> {
    const full = args
      .replaceAll('LEASE', this.#lease ?? '0')
      .replaceAll('FOLDER', mkdtempSync(join(folder, 'step-')));
    const words = [...full.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
    const child = spawn(etcdctl, [`--endpoints=127.0.0.1:${this.port}`, ...words], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let [output, errors] = ['', ''];
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    let quiet: NodeJS.Timeout | undefined;
    const heard = (): void => {
      if (!lasts) return;
      clearTimeout(quiet);
      quiet = setTimeout(() => child.kill('SIGINT'), 400);
    };
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      heard();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
      heard();
    });
    child.stdin.write(input ?? '');
    // The end of what is typed ends a watch, too.
    if (!lasts) child.stdin.end();
    if (lasts) quiet = setTimeout(() => child.kill('SIGINT'), 2000);
    return ended.then((code) => {
      clearTimeout(quiet);
      this.#lease = /^lease ([0-9a-f]+) granted/.exec(output)?.[1] ?? this.#lease;
      return (
        normalize(`${output}\n${errors}`, this.port, this.#lease).replaceAll(/\/\S*\/step-\w+/g, 'FOLDER') +
        (lasts ? '' : `exit ${code}`)
      );
    });
  }
}

const folder = mkdtempSync(join(tmpdir(), 'upstream-etcdctl-'));

describe('etcdctl against etcd and against our datastore', () => {
  const servers: Server[] = [];
  before(async () => {
    const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
    const urls = `http://127.0.0.1:${client}`;
    const theirs = startProcess(
      etcd,
      [
        `--data-dir=${folder}/etcd`,
        `--listen-client-urls=${urls}`,
        `--advertise-client-urls=${urls}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-cluster=default=http://127.0.0.1:${peer}`,
      ],
      join(folder, 'etcd.log'),
    );
    const log = join(folder, 'datastore.log');
    const ours = startProcess(
      launcher,
      [
        'datastore',
        'serve',
        `--endpoint=${process.env['ENDPOINT'] ?? `sqlite://${folder}/state.db`}`,
        `--listen-address=127.0.0.1:${port}`,
      ],
      log,
    );
    servers.push(new Server(theirs, client), new Server(ours, port));
    for (const server of servers) {
      for (let tries = 0; !(await server.run(step('endpoint health'))).endsWith('exit 0'); tries++)
        if (tries > 50) throw new Error(`no answer: ${existsSync(log) ? readFileSync(log, 'utf8') : ''}`);
    }
  });
  after(async () => {
    for (const { child } of servers) await stopProcess(child);
    rmSync(folder, { recursive: true });
  });

  for (const one of steps)
    it(one.args, async () => {
      const [theirs = '', ours = ''] = await Promise.all(servers.map((server) => server.run(one)));
      assert.equal(ours, theirs);
    });
});
