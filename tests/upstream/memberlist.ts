// `MEMBERLIST_MEMBER=… node --test tests/upstream/memberlist.ts`: members of HashiCorp's own library and ours in one cluster.
// `tests/upstream/build-memberlist.sh` builds the program.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@cloudless/kube/testing/free-port';
import { logger } from '@cloudless/kube/logger';
import type { Gossip, GossipOptions } from '@cloudless/loadbalancer/gossip/gossip';
import { metallbKey } from '@cloudless/loadbalancer/gossip/key';
import { startGossip } from '@cloudless/loadbalancer/gossip/start';

const program = process.env['MEMBERLIST_MEMBER'] ?? '';
assert.ok(program, 'MEMBERLIST_MEMBER names the program that tests/upstream/build-memberlist.sh makes');

interface Variant {
  readonly what: string;
  readonly host: string;
  readonly secret: string;
  readonly label: string;
  readonly compression: boolean;
  readonly protocolVersion: number;
}

const variants: readonly Variant[] = [
  { what: 'plain', host: '127.0.0.1', secret: '', label: '', compression: false, protocolVersion: 2 },
  {
    what: "as MetalLB's speakers",
    host: '127.0.0.1',
    secret: 'a secret',
    label: '',
    compression: true,
    protocolVersion: 2,
  },
  {
    what: 'labelled',
    host: '127.0.0.1',
    secret: 'k'.repeat(40),
    label: 'cluster',
    compression: true,
    protocolVersion: 2,
  },
  { what: 'IPv6', host: '::1', secret: 'a secret', label: '', compression: false, protocolVersion: 2 },
  ...[1, 3, 4, 5].map((protocolVersion) => ({
    what: `protocol version ${protocolVersion}`,
    host: '127.0.0.1',
    secret: 'a secret',
    label: '',
    compression: false,
    protocolVersion,
  })),
];

const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** A member of HashiCorp's. */
class Theirs {
  readonly name: string;
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(name: string, address: string, child: ChildProcess, lines: AsyncIterator<string>) {
    this.name = name;
    this.address = address;
    this.#child = child;
    this.#lines = lines;
  }

  static async start(name: string, variant: Variant, port: number): Promise<Theirs> {
    const { host, secret, label, compression, protocolVersion } = variant;
    const options = {
      name,
      host,
      port,
      secret,
      label,
      compression,
      protocolVersion,
      meta: `meta of ${name}`,
    };
    const child = spawn(program, [JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'ignore'] });
    children.push(child);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, '"ready"');
    return new Theirs(name, host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, child, lines);
  }

  async ask(command: string): Promise<unknown> {
    this.#child.stdin?.write(`${command}\n`);
    return JSON.parse(String((await this.#lines.next()).value));
  }

  async sees(name: string, there: boolean): Promise<void> {
    await eventually(
      `${this.name} sees ${name}: ${there}`,
      async () => name in ((await this.ask('members')) as object) === there,
    );
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const untilMs = Date.now() + 30_000; Date.now() < untilMs; await sleep(50)) if (await holds()) return;
  assert.fail(`not within 30 s: ${what}`);
}

async function startOurs(nodeName: string, variant: Variant, port = 0): Promise<Gossip> {
  const { host, secret, label, compression, protocolVersion } = variant;
  const key = metallbKey(secret);
  const options: GossipOptions = {
    nodeName,
    bindAddress: host,
    port,
    profile: 'local',
    log: logger('upstream'),
  };
  const wire = { label, compression, protocolVersion, meta: Buffer.from('meta of ours') };
  return startGossip({ ...options, ...wire, ...(key ? { key } : {}) });
}

/** Where the next member is. Those of version 1 heed no ports but their own: one port, and an address for each. */
async function placesFor(variant: Variant): Promise<() => Promise<[Variant, number]>> {
  const common = await freePort();
  let count = 0;
  return async () =>
    variant.protocolVersion === 1
      ? [{ ...variant, host: `127.0.0.${90 + count++}` }, common]
      : [variant, await freePort()];
}

const addressOf = ({ local: { address, port } }: Gossip): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

const oursSees = (gossip: Gossip, name: string, state: string): Promise<void> =>
  eventually(`${gossip.local.name} sees ${name} ${state}`, () =>
    gossip.members().some((member) => member.name === name && member.state === state),
  );

for (const variant of variants)
  test(`HashiCorp's members and ours, ${variant.what}: join, meta, leave, kill and rejoin both ways`, async () => {
    const place = await placesFor(variant);
    const theirs = await Theirs.start('theirs-1', ...(await place()));
    const ours = await startOurs('ours-1', ...(await place()));
    const second = await Theirs.start('theirs-2', ...(await place()));
    try {
      assert.equal(await ours.join([theirs.address]), 1);
      assert.deepEqual(await second.ask(`join ${addressOf(ours)}`), { joined: 1 });
      await Promise.all([
        theirs.sees('theirs-2', true),
        second.sees('ours-1', true),
        oursSees(ours, 'theirs-2', 'alive'),
      ]);
      assert.deepEqual(await theirs.ask('members'), {
        'theirs-1': 'meta of theirs-1',
        'theirs-2': 'meta of theirs-2',
        'ours-1': 'meta of ours',
      });
      const meta = ours.members().find(({ name }) => name === 'theirs-2')?.meta ?? [];
      assert.equal(Buffer.from(meta).toString(), 'meta of theirs-2');

      assert.equal(await second.ask('leave'), 'left');
      await oursSees(ours, 'theirs-2', 'left');
      await second.kill();
      const third = await Theirs.start('theirs-3', ...(await place()));
      assert.deepEqual(await third.ask(`join ${addressOf(ours)}`), { joined: 1 });
      await oursSees(ours, 'theirs-3', 'alive');
      await third.kill();
      await oursSees(ours, 'theirs-3', 'dead');

      await ours.leave();
      await theirs.sees('ours-1', false);
      assert.equal(await ours.join([theirs.address]), 1);
      await theirs.sees('ours-1', true);
      const { address, port } = ours.local;
      await ours.stop();
      await theirs.sees('ours-1', false);
      const again = await startOurs('ours-1', { ...variant, host: address }, port);
      assert.equal(await again.join([theirs.address]), 1);
      await theirs.sees('ours-1', true);
      await again.stop();
    } finally {
      await ours.stop();
      await theirs.kill();
    }
  });

test("a quiet mixed cluster stays whole for half a minute, and HashiCorp's members feel healthy", async () => {
  const variant = variants[1] as Variant;
  const theirs = [
    await Theirs.start('theirs-1', variant, await freePort()),
    await Theirs.start('theirs-2', variant, await freePort()),
  ];
  const ours = [await startOurs('ours-1', variant), await startOurs('ours-2', variant)];
  const first = theirs[0]?.address ?? '';
  for (const gossip of ours) assert.equal(await gossip.join([first]), 1);
  await theirs[1]?.ask(`join ${first}`);
  const doubts: string[] = [];
  await eventually('all there', () => ours.every((gossip) => gossip.members().length === 4));
  for (const gossip of ours)
    gossip.subscribe((members) =>
      doubts.push(
        ...members.filter(({ state }) => state !== 'alive').map(({ name, state }) => `${name} ${state}`),
      ),
    );
  await sleep(30_000);
  for (const member of theirs) {
    assert.equal(Object.keys((await member.ask('members')) as object).length, 4);
    assert.equal(await member.ask('health'), 0);
  }
  assert.deepEqual(doubts, []);
  assert.deepEqual(
    ours.map((gossip) => gossip.healthScore()),
    [0, 0],
  );
  await Promise.all([...ours.map((gossip) => gossip.stop()), ...theirs.map((member) => member.kill())]);
});
