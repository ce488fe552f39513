import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Datastore } from '@cloudless/datastore';
import { RealPostgres } from '@cloudless/datastore/testing/real-postgres';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { openDatabase } from './database.ts';

const log = logger('database-test').child({}, { level: 'silent' });

describe('the database of a cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'database-'));
  const passwordFile = join(folder, 'password');
  let server: RealPostgres;
  let url: string;
  before(async () => {
    server = await RealPostgres.start({ fsync: 'off' });
    writeFileSync(passwordFile, `${server.password}\n`, { mode: 0o600 });
    url = `postgres://${server.user}@127.0.0.1:${server.port}/postgres`;
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  const open = (
    clusterCa: string,
    signal: AbortSignal = new AbortController().signal,
    onWaiting: (why: string) => void = () => {},
  ): Promise<Datastore | undefined> =>
    openDatabase({ database: { url, passwordFile }, clusterCa, clock: systemClock, log, signal, onWaiting });

  it('belongs to the cluster that first used it', async () => {
    const [ours, another] = [(await selfSigned()).cert, (await selfSigned()).cert];
    await (await open(ours))?.close();
    await (await open(ours))?.close();
    await assert.rejects(open(another), /it holds another cluster, .* add schema=NAME/);
  });

  it('is waited for while it starts, and no longer than somebody wants it', async () => {
    const { cert } = await selfSigned();
    await server.kill();
    const unwanted = new AbortController();
    const reasons: string[] = [];
    const opening = open(cert, unwanted.signal, (why) => {
      reasons.push(why);
      unwanted.abort();
    });
    assert.equal(await opening, undefined);
    assert.match(reasons.join(), /is not reachable: connect ECONNREFUSED/);
    await server.launch();
  });

  it('refuses what waiting does not mend', async () => {
    const { cert } = await selfSigned();
    writeFileSync(passwordFile, 'wrong', { mode: 0o600 });
    await assert.rejects(open(cert), /--datastore-endpoint: PostgreSQL at .* refuses the user postgres/);
    rmSync(passwordFile);
    await assert.rejects(open(cert), /--datastore-password-file .*password: ENOENT/);
  });
});
