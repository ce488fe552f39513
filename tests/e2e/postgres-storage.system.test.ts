import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { RealPostgres } from '../../packages/datastore/src/testing/real-postgres.ts';
import { addUplink, eventually, TestCluster } from './cluster.ts';

isolate();
addUplink();

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'cloudless.local/none:1'}]
`;

describe('a cluster whose objects lie in PostgreSQL', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  let server: RealPostgres;
  let flags: string[];

  before(async () => {
    server = await RealPostgres.start({ fsync: 'off' });
    const passwordFile = `${cluster.root}.password`;
    writeFileSync(passwordFile, `${server.password}\n`, { mode: 0o600 });
    const endpoint = `postgres://${server.user}@/postgres?host=${server.folder}&port=${server.port}`;
    flags = ['--datastore-endpoint', endpoint, '--datastore-password-file', passwordFile];
    await cluster.up('--runtime', 'simulated', ...flags);
  });
  after(async () => {
    try {
      await cluster.remove();
    } finally {
      await server.stop();
      rmSync(`${cluster.root}.password`, { force: true });
    }
  });

  it('runs a Deployment, whose objects are there under upstream’s keys', async () => {
    await kubectl.run(['apply', '-f', '-'], { input: deployment });
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    const rows = await server.query(
      "SELECT DISTINCT convert_from(key, 'UTF8') AS key FROM cloudless.log WHERE key LIKE '/registry/deployments/%'",
    );
    assert.deepEqual(rows, [{ key: '/registry/deployments/default/web' }]);
  });

  it('outlives the death of the database, and goes on with it', async () => {
    const pid = await cluster.pidOf('control-plane');
    await server.kill();
    await assert.rejects(kubectl.run(['scale', 'deployment/web', '--replicas=3', '--request-timeout=15s']));
    await server.launch();
    await eventually('writes are taken again', async () => {
      await kubectl.run(['scale', 'deployment/web', '--replicas=3', '--request-timeout=15s']);
      return true;
    });
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    assert.equal(await cluster.pidOf('control-plane'), pid, 'the same process went on');
  });

  it('is there again after it was stopped and started', async () => {
    await cluster.cloudless('down');
    await cluster.up('--runtime', 'simulated', ...flags);
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    const ready = await kubectl.run(['get', 'deployment', 'web', '-o', 'jsonpath={.status.readyReplicas}']);
    assert.equal(ready, '3');
  });

  it('says what is wrong with a database before anything is started', async () => {
    const other = new TestCluster();
    try {
      await assert.rejects(
        other.up('--datastore-endpoint', 'postgres://me:secret@db.example/x'),
        /--datastore-endpoint: a password there is seen in the list of processes/,
      );
    } finally {
      rmSync(other.root, { recursive: true, force: true });
    }
  });
});
