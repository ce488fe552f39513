import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePostgresUrl } from './address.ts';

describe('the address of a PostgreSQL database', () => {
  it('names hosts, user, database and how to connect', () => {
    const address = parsePostgresUrl(
      'postgres://me:p%40ss%3Aword@one.example,two.example:5433,[2001:db8::1]:5434/state?sslmode=require&schema=etcd',
    );
    assert.deepEqual(address.hosts, [
      { host: 'one.example', port: 5432 },
      { host: 'two.example', port: 5433 },
      { host: '2001:db8::1', port: 5434 },
    ]);
    assert.deepEqual(
      [address.user, address.password, address.database, address.schema, address.sslMode],
      ['me', 'p@ss:word', 'state', 'etcd', 'require'],
    );
    assert.equal(address.name, 'postgres://me@one.example,two.example:5433,2001:db8::1:5434/state');
  });

  it('takes defaults as libpq does', () => {
    const address = parsePostgresUrl('postgresql://me@db');
    assert.deepEqual(address.hosts, [{ host: 'db', port: 5432 }]);
    assert.deepEqual(
      [address.password, address.database, address.schema, address.sslMode],
      [undefined, 'me', 'cloudless', 'prefer'],
    );
    const socket = parsePostgresUrl('postgres://me@/state?host=/run/postgresql&port=5433');
    assert.deepEqual(socket.hosts, [{ host: '/run/postgresql', port: 5433 }]);
    assert.deepEqual(parsePostgresUrl('postgres://me@%2Frun%2Fpostgresql/x').hosts, [
      { host: '/run/postgresql', port: 5432 },
    ]);
  });

  it('refuses what it does not understand by name, and tells no password', () => {
    const cases: ReadonlyArray<readonly [string, RegExp]> = [
      ['http://db/x', /expected postgres:\/\/USER:PASSWORD@HOST/],
      ['postgres://:secret@db/x', /names no user/],
      ['postgres://me:secret@db:port/x', /port/],
      ['postgres://me:secret@db:70000/x', /the port 70000 is none/],
      ['postgres://me:sec%ret@db/x', /the password has a % that is no escape/],
      ['postgres://me:secret@db/x?sslmode=maybe', /sslmode=maybe: expected one of disable, prefer/],
      ['postgres://me:secret@db/x?sslmode=verify-ca', /verify-ca needs sslrootcert/],
      [
        'postgres://me:secret@db/x?sslrootcert=/nowhere/ca.pem',
        /sslrootcert=\/nowhere\/ca\.pem cannot be read \(ENOENT\)/,
      ],
      ['postgres://me:secret@db/x?sslcert=/dev/null', /sslcert and sslkey go together/],
      ['postgres://me:secret@db/x?pool=5', /the parameter pool is not known; known are host/],
      ['postgres://me:secret@db/x?schema=Robert"', /schema=Robert": expected/],
      ['postgres://me:secret@db/x?target_session_attrs=standby', /a datastore writes; expected read-write/],
      ['postgres://me:secret@db/x?connect_timeout=soon', /connect_timeout=soon: expected seconds/],
    ];
    for (const [url, message] of cases) {
      assert.throws(
        () => parsePostgresUrl(url),
        (error: Error) => {
          assert.match(error.message, message);
          assert.ok(!error.message.includes('secret'), error.message);
          return true;
        },
        url,
      );
    }
  });
});
