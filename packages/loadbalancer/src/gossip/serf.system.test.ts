import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { logger } from '@cloudless/kube/logger';
import { freePort } from '@cloudless/kube/testing/free-port';
import { findPeer, missingPeer } from '@cloudless/kube/testing/peers';
import type { Gossip, GossipState } from './gossip.ts';
import { startGossip } from './start.ts';

/**
 * Real members of a memberlist cluster: Debian's serf 0.8. Serf refuses who does not speak its own version 2 to 5 on top of
 * memberlist; nothing else of serf's is needed. One that leaves by memberlist alone, without serf's own message, is
 * `failed` for serf; one that serf's leaves is `left` for us.
 */
const serfVersions = { min: 2, max: 5, current: 4 };
/** Serf reads a member's meta as its tags: none. */
const noTags = Buffer.from([0xff, 0x80]);
const run = promisify(execFile);

interface SerfAgent {
  readonly name: string;
  readonly address: string;
  readonly process: ChildProcess;
  members(): Promise<Map<string, string>>;
  leave(): Promise<void>;
  kill(): Promise<void>;
}

async function startSerf(
  t: TestContext,
  name: string,
  host: string,
  config: object,
  joins: string[] = [],
): Promise<SerfAgent> {
  const peer = findPeer('serf');
  assert.ok(peer);
  const { program, env } = peer;
  const folder = await mkdtemp(join(tmpdir(), 'gossip-serf-'));
  const [port, rpcPort] = [await freePort(), await freePort()];
  const file = join(folder, 'serf.json');
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const rpc = `127.0.0.1:${rpcPort}`;
  const tags = { role: 'peer' };
  await writeFile(
    file,
    JSON.stringify({
      node_name: name,
      bind: address,
      rpc_addr: rpc,
      profile: 'local',
      tags,
      start_join: joins,
      ...config,
    }),
  );
  const child = spawn(program, ['agent', `-config-file=${file}`], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  t.after(async () => {
    await kill();
    await rm(folder, { recursive: true });
  });
  let output = '';
  const ready = Promise.withResolvers<void>();
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output.includes('Serf agent running')) ready.resolve();
  });
  void ended.then(() => ready.reject(new Error(`serf ended: ${output}`)));
  await ready.promise;
  const command = async (...words: string[]): Promise<string> =>
    (await run(program, [words[0] ?? '', `-rpc-addr=${rpc}`, ...words.slice(1)], { env })).stdout;
  return {
    name,
    address,
    process: child,
    members: async () =>
      new Map(
        (await command('members'))
          .trim()
          .split('\n')
          .map((line) => line.split(/\s+/))
          .map(([member = '', , state = '']) => [member, state] as const),
      ),
    leave: async () => {
      await command('leave');
      await ended;
    },
    kill,
  };
}

async function startOurs(t: TestContext, nodeName: string, host: string, options: object): Promise<Gossip> {
  const gossip = await startGossip({
    nodeName,
    bindAddress: host,
    port: 0,
    profile: 'local',
    meta: noTags,
    delegateVersions: serfVersions,
    log: logger('gossip-test'),
    ...options,
  });
  t.after(() => gossip.stop());
  return gossip;
}

const address = ({ local }: Gossip): string =>
  local.address.includes(':') ? `[${local.address}]:${local.port}` : `${local.address}:${local.port}`;

async function serfSees(serf: SerfAgent, name: string, state: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  while ((await serf.members()).get(name) !== state) {
    if (Date.now() > deadline)
      assert.fail(
        `serf ${serf.name} does not see ${name} ${state}: ${JSON.stringify([...(await serf.members())])}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function oursSees(gossip: Gossip, name: string, state: GossipState): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    if (gossip.members().some((member) => member.name === name && member.state === state)) resolve();
  };
  const unsubscribe = gossip.subscribe(look);
  const timer = setTimeout(() => {
    reject(
      new Error(`${gossip.local.name} does not see ${name} ${state}: ${JSON.stringify(gossip.members())}`),
    );
  }, 30_000);
  look();
  await promise.finally(() => clearTimeout(timer));
  unsubscribe();
}

/** A process of ours that can be killed. Prints when it has joined. */
async function startOursApart(
  t: TestContext,
  nodeName: string,
  options: object,
  joins: string,
): Promise<{ kill(): Promise<void> }> {
  const program = fileURLToPath(import.meta.resolve('./testing/member-process.ts'));
  const child = spawn(process.execPath, [program, JSON.stringify({ nodeName, joins, ...options })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  t.after(kill);
  const ready = Promise.withResolvers<void>();
  child.stdout.once('data', () => ready.resolve());
  void ended.then(() => ready.reject(new Error('the member process ended')));
  await ready.promise;
  return { kill };
}

const skip = missingPeer('serf');

// They wait for deaths most of the time.
describe('beside serf', { concurrency: true }, () => {
  for (const [what, compression, encrypted, host] of [
    ['plain', false, false, '127.0.0.1'],
    ['compressed', true, false, '127.0.0.1'],
    ['encrypted', false, true, '127.0.0.1'],
    ['encrypted and compressed, over IPv6', true, true, '::1'],
  ] as const)
    test(
      `serf and our members, ${what}: join, leave, kill -9 and rejoin both ways`,
      { skip, timeout: 180_000 },
      async (t) => {
        const key = encrypted ? randomBytes(32) : undefined;
        const config = {
          enable_compression: compression,
          ...(key ? { encrypt_key: key.toString('base64') } : {}),
        };
        const options = { compression, ...(key ? { key } : {}) };
        const serf = await startSerf(t, 'serf-1', host, config);

        const ours = await startOurs(t, 'ours-1', host, options);
        assert.equal(await ours.join([serf.address]), 1);
        await Promise.all([serfSees(serf, 'ours-1', 'alive'), oursSees(ours, 'serf-1', 'alive')]);

        const second = await startSerf(t, 'serf-2', host, config, [address(ours)]);
        await Promise.all([
          oursSees(ours, 'serf-2', 'alive'),
          serfSees(serf, 'serf-2', 'alive'),
          serfSees(second, 'ours-1', 'alive'),
        ]);

        // Serf's leave, its kill, and its return.
        await second.leave();
        await oursSees(ours, 'serf-2', 'left');
        const third = await startSerf(t, 'serf-3', host, config, [address(ours)]);
        await oursSees(ours, 'serf-3', 'alive');
        await third.kill();
        await oursSees(ours, 'serf-3', 'dead');
        await startSerf(t, 'serf-2', host, config, [address(ours)]);
        await oursSees(ours, 'serf-2', 'alive');
        await serfSees(serf, 'serf-2', 'alive');

        // Ours leaves and returns, is killed and returns.
        await ours.leave();
        await serfSees(serf, 'ours-1', 'failed');
        assert.equal(await ours.join([serf.address]), 1);
        await serfSees(serf, 'ours-1', 'alive');
        const port = await freePort();
        const apart = { host, port, compression, ...(key ? { key: key.toString('base64') } : {}) };
        const victim = await startOursApart(t, 'ours-2', apart, serf.address);
        await Promise.all([serfSees(serf, 'ours-2', 'alive'), oursSees(ours, 'ours-2', 'alive')]);
        await victim.kill();
        await Promise.all([serfSees(serf, 'ours-2', 'failed'), oursSees(ours, 'ours-2', 'dead')]);
        await startOursApart(t, 'ours-2', apart, serf.address);
        await Promise.all([serfSees(serf, 'ours-2', 'alive'), oursSees(ours, 'ours-2', 'alive')]);

        assert.equal((await serf.members()).get('ours-1'), 'alive', 'and nobody else was harmed');
        assert.equal(ours.members().find(({ name }) => name === 'serf-1')?.state, 'alive');
      },
    );

  test('a serf with another key is kept out, and so are we by it', { skip, timeout: 60_000 }, async (t) => {
    const config = { encrypt_key: Buffer.alloc(32, 1).toString('base64') };
    const serf = await startSerf(t, 'serf-1', '127.0.0.1', config);
    const ours = await startOurs(t, 'ours-1', '127.0.0.1', { key: Buffer.alloc(32, 2) });
    assert.equal(await ours.join([serf.address]), 0);
    assert.deepEqual([...(await serf.members()).keys()], ['serf-1']);
  });
});
