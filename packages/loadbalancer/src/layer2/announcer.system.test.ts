import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import type { AddressPlan } from '../announcement.ts';
import type { Heard, ProbeAnswer, ProbeCommand } from '../testing/arp-probe.ts';
import type { NodeCommand, NodeReport } from '../testing/layer2-node.ts';
import { LineProgram } from '../testing/line-program.ts';
import { findPeer, missingPeer } from '@cloudless/kube/testing/peers';
import { type Host, openSegment, type Segment } from '../testing/segment.ts';
import type { Ownership } from './layer2.ts';
import { startLayer2 } from './start.ts';

const testing = join(import.meta.dirname, '../testing');
const members = [
  { name: 'node-a', address: '10.9.0.1' },
  { name: 'node-b', address: '10.9.0.2' },
];

function plan(address: string, node: string, interfaces: readonly string[] | 'any' = 'any'): AddressPlan {
  return { address, candidates: [node], interfaces, sources: [], refused: [] };
}

type Node = LineProgram<NodeCommand, NodeReport>;
type Probe = LineProgram<ProbeCommand, ProbeAnswer>;
type Report<K extends NodeReport['kind']> = Extract<NodeReport, { kind: K }>;

let segment: Segment;
const hosts = new Map<string, Host>();
const host = (name: string): Host => hosts.get(name) as Host;
let a: Node;
let b: Node;
let probe: Probe;

async function startNode(name: string): Promise<Node> {
  const program = new LineProgram<NodeCommand, NodeReport>(
    host(name).start(process.execPath, [join(testing, 'layer2-node.ts'), name]),
  );
  await program.next((report) => report.kind === 'ready');
  program.send({ kind: 'members', members });
  return program;
}

async function startProbe(): Promise<Probe> {
  const program = new LineProgram<ProbeCommand, ProbeAnswer>(
    host('client').start(process.execPath, [join(testing, 'arp-probe.ts'), 'eth0']),
  );
  await program.next();
  return program;
}

const ownershipsOf = async (node: Node): Promise<readonly Ownership[]> => {
  const answer = await node.ask<Report<'ownerships'>>(
    { kind: 'ownerships' },
    ({ kind }) => kind === 'ownerships',
  );
  return answer.ownerships;
};

/** Gives plans to a node and waits until its thread has them. */
async function planned(node: Node, plans: readonly AddressPlan[]): Promise<void> {
  node.send({ kind: 'plans', plans });
  const wanted = plans.map(({ address, candidates }) => `${address} ${candidates.at(0)}`);
  await eventually(
    () => ownershipsOf(node),
    (list) =>
      list.length === wanted.length &&
      list.every(({ address, owner }) => wanted.includes(`${address} ${owner}`)),
  );
}

const metricsOf = async (node: Node): Promise<Report<'metrics'>> =>
  node.ask<Report<'metrics'>>({ kind: 'metrics' }, (report) => report.kind === 'metrics');

const macs = new Map<string, string>();

async function ask(
  addresses: readonly string[],
  more: Partial<Extract<ProbeCommand, { kind: 'ask' }>> = {},
): Promise<ProbeAnswer> {
  return probe.ask({ kind: 'ask', addresses, count: 1, timeoutMs: 300, ...more }, undefined, 60_000);
}

const owners = ({ answers }: ProbeAnswer): Array<string | undefined> => answers.map((heard) => heard?.mac);
const median = (numbers: number[]): number => numbers.sort((x, y) => x - y)[numbers.length >> 1] ?? NaN;

/** Asks until it holds, without a busy loop; the last value. */
async function eventually<T>(
  read: () => Promise<T> | T,
  holds: (value: T) => boolean,
  timeoutMs = 5000,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (holds(value) || performance.now() > endMs) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const neighbour = (of: string, address: string): string =>
  host(of).run('ip', 'neigh', 'show', address).trim();

/** Lets the kernel of a host ask for an address. */
function send(of: string, address: string): void {
  const udp = `require('dgram').createSocket('${address.includes(':') ? 'udp6' : 'udp4'}').send('x', 9, '${address}', () => setTimeout(process.exit, 50))`;
  host(of).run(process.execPath, '-e', udp);
}

/** `T`: stopped (proc(5)). */
function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map(
    (task) => / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8'))?.[1] ?? '?',
  );
}

describe('layer 2 on a segment', { timeout: 120_000 }, () => {
  before(async () => {
    segment = await openSegment();
    for (const [i, name] of ['node-a', 'node-b', 'client'].entries()) {
      hosts.set(name, await segment.addHost(name, { ipv4: `10.9.0.${i + 1}/24`, ipv6: `fd09::${i + 1}/64` }));
      const [link] = JSON.parse(host(name).run('ip', '-j', 'link', 'show', 'eth0')) as [{ address: string }];
      macs.set(name, link.address);
    }
    [a, b, probe] = await Promise.all([startNode('node-a'), startNode('node-b'), startProbe()]);
  });
  after(() => segment?.close());

  it('v4 and v6: questions, probes for duplicates and refreshes are answered, by the owner alone', async () => {
    const addresses = ['10.9.0.9', 'fd09::9'];
    await planned(
      a,
      addresses.map((address) => plan(address, 'node-a')),
    );
    await planned(
      b,
      addresses.map((address) => plan(address, 'node-a')),
    );
    for (const more of [{}, { probe: true }, { to: macs.get('node-a') as string }]) {
      const answer = await ask(addresses, more);
      assert.deepEqual(owners(answer), [macs.get('node-a'), macs.get('node-a')], JSON.stringify(more));
    }
    for (const address of addresses) {
      send('client', address);
      const entry = await eventually(
        () => neighbour('client', address),
        (text) => text.includes('lladdr'),
      );
      assert.match(entry, new RegExp(macs.get('node-a') as string));
    }
  });

  it('Debian’s arping and ndisc6 agree', { skip: missingPeer('arping', 'ndisc6') }, async () => {
    const run = (name: string, ...args: string[]): string => {
      const peer = findPeer(name);
      const env = `LD_LIBRARY_PATH=${peer?.env['LD_LIBRARY_PATH'] ?? ''}`;
      return host('client').run('env', env, peer?.program ?? '', ...args);
    };
    assert.match(
      run('arping', '-i', 'eth0', '-c', '1', '10.9.0.9'),
      new RegExp(macs.get('node-a') as string),
    );
    assert.match(
      run('arping', '-i', 'eth0', '-0', '-c', '1', '10.9.0.9'),
      new RegExp(macs.get('node-a') as string),
    );
    assert.match(
      run('ndisc6', '-1', 'fd09::9', 'eth0').toLowerCase(),
      new RegExp(macs.get('node-a') as string),
    );
  });

  it('a station that tries to take an owned IPv6 address finds it taken', async () => {
    host('client').run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad');
    host('client').run('ip', 'address', 'add', 'fd09::9/64', 'dev', 'eth0');
    const text = await eventually(
      () => host('client').run('ip', 'address', 'show', 'dev', 'eth0'),
      (shown) => shown.includes('dadfailed'),
    );
    assert.match(text, /fd09::9\/64 scope global dadfailed/);
    host('client').run('ip', 'address', 'del', 'fd09::9/64', 'dev', 'eth0');
  });

  it('an address that moves: the old owner is silent, neighbours’ entries are rewritten at once', async () => {
    const moved = ['10.9.0.9', 'fd09::9'].map((address) => plan(address, 'node-b'));
    const listening = probe.ask({ kind: 'listen', ms: 400 });
    await planned(a, moved);
    await planned(b, moved);
    for (const address of ['10.9.0.9', 'fd09::9']) {
      const entry = await eventually(
        () => neighbour('client', address),
        (text) => text.includes(macs.get('node-b') as string),
        1000,
      );
      assert.match(entry, new RegExp(macs.get('node-b') as string));
    }
    const heard = (await listening).others.filter(({ mac }) => mac === macs.get('node-b'));
    const times = (address: string): Heard[] => heard.filter((one) => one.address === address);
    // At 0, 50 and 200 ms; IPv4 by request and reply.
    assert.equal(times('10.9.0.9').length, 6);
    assert.equal(times('fd09::9').length, 3);
    assert.deepEqual(owners(await ask(['10.9.0.9', 'fd09::9'])), [macs.get('node-b'), macs.get('node-b')]);
    await planned(b, []);
    assert.deepEqual(owners(await ask(['10.9.0.9', 'fd09::9'])), [undefined, undefined]);
  });

  it('a stalled main thread delays no answer; half of them take less than 100 µs more than the kernel’s', async () => {
    await planned(a, [plan('10.9.0.9', 'node-a'), plan('fd09::9', 'node-a')]);
    const stalled = a.ask({ kind: 'stall', ms: 1500 }, (report) => report.kind === 'stalled');
    const times = async (address: string): Promise<number[]> => {
      const { answers } = await ask([address], { count: 300, pauseMs: 1 });
      return answers.map((heard) => heard?.atMs ?? Infinity);
    };
    const ours = await times('10.9.0.9');
    assert.equal(a.reports.filter(({ kind }) => kind === 'stalled').length, 0, 'still stalled');
    const kernel = await times('10.9.0.1');
    const added = (median(ours) - median(kernel)) * 1000;
    console.log(
      `# ARP: ours p50 ${(median(ours) * 1000).toFixed(0)} µs, kernel ${(median(kernel) * 1000).toFixed(0)} µs`,
    );
    assert.ok(
      ours.every((ms) => ms < 100),
      'every question was answered while the main thread stood still',
    );
    assert.ok(added < 100, `${added.toFixed(0)} µs`);
    await stalled;
  });

  it('a thousand addresses of both families: all announced and answered', async () => {
    const addresses = Array.from({ length: 500 }, (_, i) => [
      `10.9.${1 + (i >> 8)}.${i & 255}`,
      `fd09::1:${i.toString(16)}`,
    ]).flat();
    // Off the subnet, and without a default route on a veth: named.
    const plans = addresses.map((address) => plan(address, 'node-a', ['eth0']));
    const listening = probe.ask({ kind: 'listen', ms: 1500 });
    await planned(a, plans);
    const announced = new Set((await listening).others.map(({ address }) => address));
    assert.equal(addresses.filter((address) => announced.has(address)).length, addresses.length);
    const { answers } = await ask(addresses, { timeoutMs: 1000 });
    assert.equal(answers.filter((heard) => heard?.mac === macs.get('node-a')).length, addresses.length);
    await planned(a, []);
  });

  it('hears what is asked in an address’s group, also where IPv6 is off, and leaves it with the plan', async () => {
    const groups = (): string => host('node-b').run('ip', 'maddress', 'show', 'dev', 'eth0');
    await planned(b, [plan('fd09::77:8899', 'node-b', ['eth0'])]);
    await eventually(groups, (text) => text.includes('ff77:8899'));
    assert.match(groups(), /inet6 ff02::1:ff77:8899/);
    assert.deepEqual(owners(await ask(['fd09::77:8899'])), [macs.get('node-b')]);
    await planned(b, []);
    await eventually(groups, (text) => !text.includes('ff77:8899'));
    assert.doesNotMatch(groups(), /ff77:8899/);
    host('node-b').run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6');
    await planned(b, [plan('fd09::77:8899', 'node-b', ['eth0'])]);
    await eventually(groups, (text) => text.includes('33:33:ff:77:88:99'));
    assert.match(groups(), /link +33:33:ff:77:88:99/);
    assert.deepEqual(owners(await ask(['fd09::77:8899'])), [macs.get('node-b')]);
    host('node-b').run('sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6');
    await planned(b, []);
  });

  it('spoiled frames and foreign VLANs get no answer, and the questions after them do', async () => {
    await planned(a, [plan('10.9.0.9', 'node-a'), plan('fd09::9', 'node-a')]);
    assert.deepEqual(owners(await ask(['10.9.0.9', 'fd09::9'], { vlan: 7 })), [undefined, undefined]);
    await planned(a, [
      plan('192.0.2.9', 'node-a', ['eth0']),
      plan('2001:db8::9', 'node-a', ['eth0']),
      plan('10.9.0.9', 'node-a'),
    ]);
    const frames = Number(process.env['ITERATIONS'] ?? 20) * 1000;
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    await probe.ask({ kind: 'spoil', seed: seed + 1, frames: 5000 }, undefined, 60_000);
    const before = await metricsOf(a);
    const { others } = await probe.ask({ kind: 'spoil', seed, frames }, undefined, 600_000);
    const after = await metricsOf(a);
    assert.ok(others.length > 0, `seed ${seed}`);
    for (const { address, mac } of others) {
      assert.ok(
        ['192.0.2.9', '2001:db8::9', '10.9.0.9'].includes(address),
        `seed ${seed}: answered for ${address}`,
      );
      assert.equal(mac, macs.get('node-a'));
    }
    const grownBytes = after.residentBytes - before.residentBytes;
    assert.ok(grownBytes < 64 << 20, `seed ${seed}: ${grownBytes} bytes more`);
    assert.deepEqual(owners(await ask(['10.9.0.9'])), [macs.get('node-a')]);
  });

  it('an interface that flaps, or is new, is announced on at once', async () => {
    await planned(a, [plan('10.9.0.9', 'node-a'), plan('10.8.0.9', 'node-a', ['eth1'])]);
    await eventually(
      () => metricsOf(a),
      ({ text }) => /gratuitous_sent\{ip="10.9.0.9"\} 10/.test(text),
    );
    const listening = probe.ask({ kind: 'listen', ms: 1000 });
    host('node-a').run('ip', 'link', 'set', 'eth0', 'down');
    host('node-a').run('ip', 'link', 'set', 'eth0', 'up');
    // A link that goes down loses its IPv6 addresses.
    host('node-a').run('ip', 'address', 'add', 'fd09::1/64', 'dev', 'eth0', 'nodad');
    const heard = (await listening).others.filter(({ address }) => address === '10.9.0.9');
    assert.ok(heard.length >= 2, `${heard.length} announcements after the flap`);
    assert.deepEqual(owners(await ask(['10.9.0.9'])), [macs.get('node-a')]);
    const news = a.next(
      (report) => report.kind === 'ownership' && report.ownership.interfaces.includes('eth1'),
    );
    host('node-a').run('ip', 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'far1');
    for (const name of ['eth1', 'far1']) host('node-a').run('ip', 'link', 'set', name, 'up');
    await news;
    const sent = await eventually(
      () => metricsOf(a),
      ({ text }) => /gratuitous_sent\{ip="10.8.0.9"\} [1-9]/.test(text),
    );
    assert.match(sent.text, /gratuitous_sent\{ip="10.8.0.9"\} [1-9]/);
    host('node-a').run('ip', 'link', 'del', 'eth1');
  });

  it('an address off every subnet follows the default route', async () => {
    await planned(a, [plan('203.0.113.9', 'node-a')]);
    const [before] = await ownershipsOf(a);
    assert.deepEqual(before?.interfaces, [], 'a veth is taken for an uplink only with a route that says so');
    host('node-a').run('ip', 'route', 'add', 'default', 'via', '10.9.0.254');
    const [routed] = await eventually(
      () => ownershipsOf(a),
      ([first]) => first?.interfaces[0] === 'eth0',
    );
    assert.deepEqual(routed?.interfaces, ['eth0']);
    assert.deepEqual(owners(await ask(['203.0.113.9'])), [macs.get('node-a')]);
    host('node-a').run('ip', 'route', 'del', 'default');
    const [after] = await eventually(
      () => ownershipsOf(a),
      ([first]) => first?.interfaces.length === 0,
    );
    assert.deepEqual(after?.interfaces, []);
    await planned(a, [plan('10.9.0.9', 'node-a')]);
  });

  it('an address of the machine’s own is answered once, by the kernel, and the status says so', async () => {
    const held = a.next(
      (report) =>
        report.kind === 'ownership' &&
        report.ownership.address === '10.9.0.9' &&
        report.ownership.assignedTo?.[0] === 'lo',
    );
    host('node-a').run('ip', 'address', 'add', '10.9.0.9/32', 'dev', 'lo');
    await held;
    const answer = await ask(['10.9.0.9'], { count: 3, pauseMs: 50 });
    assert.deepEqual(owners(answer), [macs.get('node-a'), macs.get('node-a'), macs.get('node-a')]);
    assert.deepEqual(
      answer.others.filter(({ toAll }) => !toAll),
      [],
    );
    host('node-a').run('ip', 'address', 'del', '10.9.0.9/32', 'dev', 'lo');
    // As IPVS wants it: the address is on the machine, and its kernel is told not to answer.
    host('node-a').run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore');
    host('node-a').run('ip', 'address', 'add', '10.9.0.9/32', 'dev', 'lo');
    const quiet = await eventually(
      () => ownershipsOf(a),
      ([first]) => first?.assignedTo?.length === 0,
    );
    assert.deepEqual(quiet[0]?.assignedTo, []);
    const ours = await eventually(
      () => ask(['10.9.0.9']),
      (got) => got.answers[0] !== null,
    );
    assert.deepEqual(owners(ours), [macs.get('node-a')]);
    host('node-a').run('ip', 'address', 'del', '10.9.0.9/32', 'dev', 'lo');
    host('node-a').run('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/conf/all/arp_ignore');
    const free = await eventually(
      () => ask(['10.9.0.9']),
      (got) => got.answers[0] !== null,
    );
    assert.deepEqual(owners(free), [macs.get('node-a')]);
  });

  it('what was asked while the process was stopped is not answered when it goes on', async () => {
    a.child.kill('SIGSTOP');
    // The signal waits for its process to have a processor; its threads go on until then.
    const states = await eventually(
      () => threadStates(a.child.pid as number),
      (list) => list.every((state) => state === 'T'),
    );
    assert.ok(states.every((state) => state === 'T'));
    const { answers } = await ask(['10.9.0.9', 'fd09::9'], { count: 3, timeoutMs: 150 });
    assert.deepEqual(
      answers.filter((heard) => heard !== null),
      [],
    );
    const listening = probe.ask({ kind: 'listen', ms: 300 });
    a.child.kill('SIGCONT');
    const { others } = await listening;
    assert.deepEqual(
      others.filter(({ toAll }) => !toAll),
      [],
    );
    assert.deepEqual(owners(await ask(['10.9.0.9'])), [macs.get('node-a')]);
  });

  it('a station that claims an owned address is reported, and told once who has it', async () => {
    await planned(a, [plan('10.9.0.9', 'node-a'), plan('fd09::9', 'node-a')]);
    await eventually(
      () => metricsOf(a),
      ({ text }) => /gratuitous_sent\{ip="fd09::9"\} 5/.test(text),
    );
    const { others } = await probe.ask({ kind: 'claim', addresses: ['10.9.0.9', 'fd09::9'], times: 3 });
    const told = others.filter(({ toAll, mac }) => toAll && mac === macs.get('node-a'));
    // IPv4 by request and reply.
    assert.deepEqual(told.map(({ address }) => address).sort(), ['10.9.0.9', '10.9.0.9', 'fd09::9']);
  });

  it('a thread that ends is silent for a second, and back with all that it knew', async () => {
    a.send({ kind: 'end-thread' });
    await eventually(
      () => ask(['10.9.0.9'], { timeoutMs: 50 }),
      (got) => got.answers[0] === null,
    );
    const back = await eventually(
      () => ask(['10.9.0.9', 'fd09::9']),
      (got) => !got.answers.includes(null),
    );
    assert.deepEqual(owners(back), [macs.get('node-a'), macs.get('node-a')]);
  });

  it('a plan for what is no address is refused where it is given', async () => {
    await using layer2 = await startLayer2({ nodeName: 'x', log: logger('layer2-test') });
    assert.throws(() => layer2.setPlans([plan('fd09::%1', 'x')]), /"fd09::%1" is no IP address/);
  });

  it('a process that may not open packet sockets is told what it needs', () => {
    const command = `setpriv --bounding-set -net_raw "$0" ${join(testing, 'layer2-node.ts')} 2>&1 || true`;
    assert.match(
      host('client').run('sh', '-c', command, process.execPath),
      /it needs root or CAP_NET_RAW\): socket: EPERM/,
    );
  });

  it('stops at once, also when the process exits with its thread running', async () => {
    const { ms } = await a.ask<Report<'stopped'>>({ kind: 'stop' }, (report) => report.kind === 'stopped');
    assert.ok(ms < 1000, `${ms} ms`);
    assert.deepEqual(owners(await ask(['10.9.0.9'])), [undefined]);
    await a.end();
    assert.equal(a.child.exitCode, 0);
    const exited = once(b.child, 'exit', { signal: AbortSignal.timeout(2000) });
    b.send({ kind: 'exit' });
    assert.deepEqual((await exited)[0], 7);
  });
});
