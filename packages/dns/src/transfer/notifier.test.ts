import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { opcode } from '../wire/types.ts';
import { soaSerial } from '../zone/build.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import type { TsigKey } from './keys.ts';
import { type Notifier, startNotifier } from './notifier.ts';
import { LogRecord } from './testing/log-record.ts';
import { until } from './testing/loopback.ts';
import { startRequestServer } from './testing/request-server.ts';
import { testZone } from './testing/test-zones.ts';
import { VerifiedRequest } from './verified-request.ts';

const key: TsigKey = { name: 'k.example', algorithm: 'hmac-sha256', secret: Buffer.from('some secret') };
const origin = 'zone.example';

describe('NOTIFY', () => {
  const parts: Running[] = [];
  afterEach(async () => {
    for (const part of parts.splice(0).reverse()) await part.stop();
  });

  /** A secondary that keeps the serials it was told. */
  async function start(
    settled?: () => Promise<unknown>,
  ): Promise<{ zones: ZoneRegistry; told: number[]; notifier: Notifier }> {
    const told: number[] = [];
    const server = await startRequestServer(({ message, peer }) => {
      const verified = VerifiedRequest.open(message, [key], peer, systemClock);
      assert.equal(verified.signature.kind, 'valid');
      assert.equal(verified.message.opcode, opcode.notify);
      told.push(soaSerial(verified.message.answers[0]?.data as Buffer));
      return Promise.resolve(verified.reply({ authoritative: true }));
    });
    const zones = new ZoneRegistry();
    zones.publish(testZone(origin, 1));
    const notify = [{ address: '127.0.0.1', port: server.port, key: key.name }];
    const config = { tsigKeys: [key], transfers: { allow: [], notify }, secondaries: new Map() };
    const { log } = new LogRecord();
    const notifier = startNotifier({ zones, config: () => config, settled, log, clock: systemClock });
    parts.push(server, notifier);
    return { zones, told, notifier };
  }

  it('is sent at the start, and once for changes that come together, with the newest serial', async () => {
    const { zones, told } = await start();
    await until(
      () => told.length === 1,
      () => told.join(),
    );
    for (let serial = 2; serial <= 20; serial++) zones.publish(testZone(origin, serial));
    await until(
      () => told.at(-1) === 20,
      () => told.join(),
    );
    assert.ok(told.length <= 3, told.join());
  });

  it('waits until what it tells of is answered', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { zones, told } = await start(() => promise);
    zones.publish(testZone(origin, 2));
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(told, []);
    resolve();
    await until(
      () => told.length > 0,
      () => 'nothing was told',
    );
    assert.deepEqual(told, [2]);
  });

  it('ends although what it waits for never comes', async () => {
    const { notifier, told } = await start(() => new Promise(() => {}));
    await notifier.stop();
    assert.deepEqual(told, []);
  });
});
