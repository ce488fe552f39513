import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { selfSigned } from '@cloudless/kube/testing/certificate';
import { RealPostgres } from '../testing/real-postgres.ts';
import { openPostgresDatastore, PostgresError, type PostgresReason } from './open.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const quiet = logger('datastore-test').child({}, { level: 'silent' });
const secret = 'not-to-be-told';

async function refused(url: string, reason: PostgresReason, message: RegExp): Promise<void> {
  await assert.rejects(openPostgresDatastore({ url, log: quiet }), (error: unknown) => {
    assert.ok(error instanceof PostgresError, String(error));
    assert.equal(error.reason, reason, error.message);
    assert.match(error.message, message);
    assert.ok(!error.message.includes(secret), 'no password in it');
    return true;
  });
}

describe('opening a datastore on PostgreSQL', () => {
  let server: RealPostgres;
  before(async () => {
    server = await RealPostgres.start({ fsync: 'off' });
  });
  after(() => server.stop());

  it('refuses what cannot be used, by name and with a remedy', async () => {
    const at = `127.0.0.1:${server.port}`;
    await refused(
      server.url('postgres', 'postgres', secret),
      'credentials',
      /refuses the user postgres.*Check password/,
    );
    await refused(
      `postgres://postgres@${at}/postgres`,
      'credentials',
      /asks for a password and none was given/,
    );
    await refused(server.url('none'), 'no-database', /no database none: CREATE DATABASE none/);
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as { port: number };
    await new Promise((resolve) => free.close(resolve));
    await refused(
      `postgres://a:${secret}@127.0.0.1:${port}/b`,
      'unreachable',
      /not reachable: connect ECONNREFUSED/,
    );
    await refused(`postgres://a:${secret}@no.such.host.invalid/b`, 'unreachable', /ENOTFOUND|EAI_AGAIN/);
  });

  it('makes its tables with the rights it has, and names those it lacks', async () => {
    await server.query(`CREATE ROLE poor LOGIN PASSWORD '${secret}'`);
    await server.query('CREATE DATABASE rights');
    const url = server.url('rights', 'poor', secret);
    await refused(url, 'rights', /user poor may not use .*CREATE SCHEMA cloudless AUTHORIZATION poor/);
    await server.query('CREATE SCHEMA cloudless AUTHORIZATION poor', 'rights');
    const store = await openPostgresDatastore({ url, log: quiet });
    await store.put({ key: bytes('a'), value: bytes('1') });
    await store.close();
    await server.query("CREATE ROLE other LOGIN PASSWORD 'other'");
    await refused(server.url('rights', 'other', 'other'), 'rights', /user other may not use/);
  });

  it('refuses tables of a newer version and of another program, and keeps off them', async () => {
    const newer = await server.database('newer');
    await (await openPostgresDatastore({ url: newer, log: quiet })).close();
    await server.query('UPDATE cloudless.head SET cloudless_schema = 99', 'newer');
    await refused(
      newer,
      'newer-schema',
      /written by a newer Cloudless \(schema 99, this one reads up to 1\)/,
    );
    const foreign = await server.database('foreign_one');
    await server.query('CREATE SCHEMA cloudless; CREATE TABLE cloudless.log (line text)', 'foreign_one');
    await refused(
      foreign,
      'foreign',
      /tables of another program \(cloudless\.log\): use another database, or \?schema/,
    );
    // Beside it is room.
    const store = await openPostgresDatastore({ url: `${foreign}?schema=beside`, log: quiet });
    assert.equal((await store.put({ key: bytes('a'), value: bytes('1') })).revision, 2);
    await store.close();
  });

  it('refuses a damaged log', async () => {
    const url = await server.database('damaged');
    const store = await openPostgresDatastore({ url, log: quiet });
    for (let i = 0; i < 5; i++) await store.put({ key: bytes('a'), value: bytes(String(i)) });
    await store.close();
    await server.query('DELETE FROM cloudless.log WHERE revision = 4', 'damaged');
    await refused(url, 'unusable', /is damaged: revisions 4 to 4 are missing. Restore it from a backup/);
  });

  it('refuses a replica and a read-only database, and becomes usable with it', async () => {
    const url = await server.database('readonly');
    await server.query('ALTER DATABASE readonly SET default_transaction_read_only = on');
    await refused(url, 'read-only', /is read-only \(default_transaction_read_only\): set it to off/);
    await server.query('ALTER DATABASE readonly RESET default_transaction_read_only');
    await (await openPostgresDatastore({ url, log: quiet })).close();
    await using standby = await server.standby();
    await refused(standby.url('readonly'), 'read-only', /is a replica and takes no writes: use the primary/);
  });

  it('makes commits durable whatever the server says by default', async () => {
    const url = await server.database('lazy');
    await server.query('ALTER DATABASE lazy SET synchronous_commit = off');
    await using store = await openPostgresDatastore({ url, log: quiet });
    await server.query(
      `CREATE FUNCTION cloudless.witness() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN NEW.lessor := current_setting('synchronous_commit'); RETURN NEW; END $$;
       CREATE TRIGGER witness BEFORE UPDATE ON cloudless.head FOR EACH ROW
         WHEN (NEW.position > OLD.position) EXECUTE FUNCTION cloudless.witness()`,
      'lazy',
    );
    await store.put({ key: bytes('a'), value: bytes('1') });
    assert.deepEqual(await server.query('SELECT lessor FROM cloudless.head', 'lazy'), [{ lessor: 'on' }]);
  });

  it('speaks TLS as sslmode says', async () => {
    const { cert, key } = await selfSigned();
    const folder = mkdtempSync(join(tmpdir(), 'postgres-tls-'));
    const ca = join(folder, 'ca.pem');
    const wrongCa = join(folder, 'wrong.pem');
    writeFileSync(ca, cert);
    writeFileSync(wrongCa, (await selfSigned('another')).cert);
    const url = await server.database('tls');
    const usesTls = async (parameters: string): Promise<unknown> => {
      const store = await openPostgresDatastore({ url: `${url}?${parameters}`, log: quiet });
      const [row] = await server.query(
        "SELECT bool_and(ssl) AS ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'tls'",
      );
      await store.close();
      return row?.['ssl'];
    };
    try {
      await refused(
        `${url}?sslmode=require`,
        'tls',
        /does not speak TLS: use sslmode=disable, or set ssl = on/,
      );
      assert.equal(await usesTls('sslmode=prefer'), false);
      await server.enableTls(cert, key);
      assert.equal(await usesTls('sslmode=disable'), false);
      for (const mode of ['prefer', 'require']) assert.equal(await usesTls(`sslmode=${mode}`), true, mode);
      for (const mode of ['verify-ca', 'verify-full']) {
        assert.equal(await usesTls(`sslmode=${mode}&sslrootcert=${ca}`), true, mode);
        await refused(`${url}?sslmode=${mode}&sslrootcert=${wrongCa}`, 'tls', /TLS failed: .*Check sslmode/);
      }
      await refused(`${url}?sslmode=verify-full`, 'tls', /self.signed/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
