import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  chownSync,
  closeSync,
  copyFileSync,
  globSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { formatKubeconfig } from '../../packages/bootstrap/src/kubeconfig.ts';
import { createAuthority, issueLeaf, type KeyPair } from '../../packages/bootstrap/src/pki/authority.ts';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, cloudless, eventually, TestCluster } from './cluster.ts';
import { listMachine } from './machine-listing.ts';

isolate();
addUplink();
const run = promisify(execFile);
const simulated = ['--runtime', 'simulated'];

/** Fails unless `action` rejects with all of these in its message. */
async function refused(action: Promise<unknown>, ...patterns: RegExp[]): Promise<void> {
  await assert.rejects(action, (error: Error) => {
    // What the harness adds for readers of failures is no part of the answer.
    const said = error.message.split('\n--- ')[0] ?? '';
    for (const pattern of patterns) assert.match(said, pattern);
    assert.doesNotMatch(said, /\n\s+at /, 'a person sees no stack');
    return true;
  });
}

/** What is this test's own of a listing: others on the machine have cgroups and shims as well. */
function ownListing(marker: string): object {
  const { processes, mounts, interfaces, routes, nft } = listMachine(marker);
  return { processes, mounts, interfaces, routes, nft };
}

async function withPath<T>(path: string, action: () => Promise<T>): Promise<T> {
  const before = process.env['PATH'];
  process.env['PATH'] = path;
  try {
    return await action();
  } finally {
    process.env['PATH'] = before;
  }
}

describe('a machine that does not fit', () => {
  let cluster: TestCluster;
  beforeEach(() => {
    cluster = new TestCluster();
  });
  afterEach(() => cluster.remove());

  it('a taken port: its holder is named, and another port serves', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(6443, '0.0.0.0', resolve));
    await refused(
      cluster.up(...simulated),
      new RegExp(`port 6443 \\(tcp\\) on 0\\.0\\.0\\.0 is taken by \\S+ \\(pid ${process.pid}\\)`),
      /stop that, or choose another with --api-port/,
    );
    assert.equal(globSync('etc/**/*', { cwd: cluster.root }).length, 0, 'nothing may be half-applied');
    await cluster.up(...simulated, '--api-port', '7443');
    assert.match(await cluster.kubectl().run(['get', 'nodes']), /node-1 +Ready/);
    await new Promise((resolve) => holder.close(resolve));
  });

  it('no containerd: it says so, goes on with simulated pods, and status repeats it', async () => {
    // This test has a mount namespace of its own: there it hides the program wherever it is looked for.
    const program = realpathSync(execFileSync('which', ['containerd'], { encoding: 'utf8' }).trim());
    const nothing = join(cluster.root, 'nothing');
    writeFileSync(nothing, '', { mode: 0o644 });
    execFileSync('mount', ['--bind', nothing, program]);
    const said = await cluster.up().finally(() => execFileSync('umount', [program]));
    const reason = /containerd not found: apt-get install containerd/;
    assert.match(said, /No real containers here/);
    assert.match(said, reason);
    const status = await cluster.cloudless('status');
    assert.match(status, /SIMULATED, pods run no containers/);
    assert.match(status, reason);
  });

  for (const [sentence, program, said] of [
    ['is no program', 'garbage\n', /containerd ended at once/],
    [
      'refuses to run',
      '#!/bin/sh\necho "containerd: failed to load plugin" >&2\nexit 1\n',
      /containerd ended at once: containerd: failed to load plugin/,
    ],
  ] as const)
    it(`a containerd that ${sentence}: its log and the remedy are named, and nothing is left running`, async () => {
      const machine = ownListing(cluster.root);
      const folder = mkdtempSync('/tmp/cl-path-');
      writeFileSync(join(folder, 'containerd'), program, { mode: 0o755 });
      await withPath(`${folder}:${process.env['PATH']}`, () =>
        refused(
          cluster.up(),
          said,
          new RegExp(`its log: ${cluster.root}/var/log/cloudless/containerd.log`),
          /mend it, or run pods as a state machine with --runtime simulated/,
        ),
      );
      await eventually('the supervisor has ended', async () => {
        assert.deepEqual(ownListing(cluster.root), machine);
        return true;
      });
      rmSync(folder, { recursive: true });
    });

  it('no root: simulated pods below a folder of one’s own, nothing elsewhere', async () => {
    const nobody = 65534;
    const uids = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
    const as = async (...args: string[]): Promise<string> => {
      const { stdout, stderr } = await run(
        'setpriv',
        // The repository may lie in root's own folder: reading it is allowed, nothing else.
        [...uids, '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search', cloudless, ...args],
        { timeout: 60_000 },
      );
      return stdout + stderr;
    };
    // A cluster that this machine has is not the test's: out of sight, in this process's own mount namespace.
    for (const folder of ['/run/cloudless', '/etc/kubernetes', '/var/lib/cloudless'])
      if (existsSync(folder)) await run('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
    await refused(
      as('up', '--detach', '--node-name', 'n1'),
      /user 65534 cannot write below \/\S+: run this as root, or keep the state in a folder of your own with --root/,
    );
    chownSync(cluster.root, nobody, nobody);
    const root = ['--root', cluster.root];
    const reason = /containers need root: run this as root/;
    assert.match(await as('up', '--detach', '--node-name', 'n1', ...root), reason);
    assert.match(await as('status', ...root), reason);
    assert.match(await cluster.kubectl().run(['get', 'nodes']), /n1 +Ready/);
    await as('down', ...root);
  });
});

describe('damaged state', () => {
  const cluster = new TestCluster();
  const pki = join(cluster.root, 'etc/kubernetes/pki');
  const database = join(cluster.root, 'var/lib/cloudless/datastore/state.db');
  const kubectl = cluster.kubectl();
  before(async () => {
    await cluster.up(...simulated);
    await kubectl.run(['create', 'configmap', 'kept', '--from-literal=a=b']);
    await cluster.cloudless('down');
  });
  after(() => cluster.remove());

  for (const [sentence, path, damage, patterns] of [
    [
      'a datastore that is no database',
      database,
      (file) => writeFileSync(file, Buffer.alloc(8192, 0x55)),
      [/state\.db is not a Cloudless datastore/, /move it away/],
    ],
    [
      'a datastore that was cut off',
      database,
      (file) => truncateSync(file, 4096),
      [/state\.db/, /restore|move it away|backup/],
    ],
    [
      'a datastore with a damaged page',
      database,
      (file) => {
        const handle = openSync(file, 'r+');
        writeSync(
          handle,
          Buffer.alloc(statSync(file).size - 4096, 0xa5),
          0,
          statSync(file).size - 4096,
          4096,
        );
        closeSync(handle);
      },
      [/state\.db/, /restore|move it away|backup/],
    ],
    [
      'a certificate that is none',
      join(pki, 'apiserver.crt'),
      (file) => writeFileSync(file, 'garbage'),
      [/apiserver\.crt holds no certificate in PEM form: restore it/],
    ],
    [
      'a CA without its key',
      join(pki, 'ca.key'),
      (file) => rmSync(file),
      [/ca\.key is missing beside .*ca\.crt: restore it/],
    ],
    [
      'a kubeconfig that is none',
      cluster.kubeconfig,
      (file) => writeFileSync(file, 'clusters: {'),
      [/admin\.conf is no kubeconfig with a client certificate inside: remove it to have it made anew/],
    ],
    [
      'a cluster.json that is none',
      join(cluster.root, 'var/lib/cloudless/cluster.json'),
      (file) => writeFileSync(file, '{"root":'),
      [/cluster\.json is damaged .*: remove it and run 'cloudless up' again/],
    ],
  ] as Array<[string, string, (file: string) => void, RegExp[]]>)
    it(`${sentence} is named with its remedy; put back, everything acknowledged is there`, async () => {
      copyFileSync(path, `${path}.good`);
      damage(path);
      await refused(cluster.up(...simulated), ...patterns);
      rmSync(path, { force: true });
      renameSync(`${path}.good`, path);
      await cluster.up(...simulated);
      assert.equal(await kubectl.run(['get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}']), 'b');
      await cluster.cloudless('down');
    });
});

describe('bad requests', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const apply = (manifest: string, ...flags: string[]): Promise<string> =>
    kubectl.run(['apply', '-f', '-', ...flags], { input: manifest });
  const create = (object: object): Promise<string> =>
    kubectl.run(['create', '-f', '-'], { input: JSON.stringify(object) });
  before(async () => {
    await cluster.up(...simulated);
    await kubectl.run(['create', 'configmap', 'good']);
  });
  after(() => cluster.remove());
  // Whatever was asked, the rest is served on.
  afterEach(async () => {
    assert.equal(await kubectl.run(['get', 'configmap', 'good', '-o', 'name']), 'configmap/good\n');
    const { supervisor } = JSON.parse(await cluster.status()) as {
      supervisor: { ready: boolean; children: Array<{ restarts: number }> };
    };
    assert.ok(supervisor.ready);
    assert.deepEqual(new Set(supervisor.children.map((child) => child.restarts)), new Set([0]));
  });

  for (const [sentence, manifest, patterns] of [
    ['a broken manifest', 'kind: ConfigMap\nmetadata: {name: a\n', [/error parsing STDIN: .*line \d+/]],
    [
      'a kind that does not exist',
      'apiVersion: v1\nkind: Nothing\nmetadata: {name: a}\n',
      [/no matches for kind "Nothing" in version "v1"/],
    ],
    [
      'an unknown field',
      'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b, imagePullPolice: Never}]}\n',
      // kubectl before 1.25 finds it by itself, in its own words.
      [/BadRequest|ValidationError\(Pod\.spec\.containers\[0\]\)/, /unknown field "\S*imagePullPolice"/],
    ],
    [
      'a wrong type',
      'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: 3}]}\n',
      [
        /Pod in version "v1" cannot be handled as a Pod/,
        /cannot unmarshal number into .*image of type string/,
      ],
    ],
    [
      'values that are not valid',
      'apiVersion: v1\nkind: Pod\nmetadata: {name: B_b}\nspec: {containers: []}\n',
      [
        /The Pod "B_b" is invalid/,
        /metadata\.name: Invalid value: "B_b"/,
        /spec\.containers: Required value/,
      ],
    ],
    [
      'a namespace that does not exist',
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: none}\n',
      [/NotFound/, /namespaces "none" not found/],
    ],
  ] as Array<[string, string, RegExp[]]>)
    it(`${sentence} is refused, and nothing of it is kept`, async () => {
      await refused(apply(manifest), ...patterns);
      await refused(kubectl.run(['get', 'pod/a', 'pod/B_b', 'configmap/a']), /not found/);
    });

  it('a field that stands twice', async () => {
    const path = '/api/v1/namespaces/default/configmaps?fieldValidation=Strict';
    const input = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}';
    await refused(
      kubectl.run(['create', '--raw', path, '-f', '-'], { input }),
      /strict decoding error: duplicate field "data\.x"/,
    );
  });

  it('a name that is taken', async () => {
    await refused(
      create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'good' } }),
      /AlreadyExists/,
      /configmaps "good" already exists/,
    );
  });

  it('a conflict: what was written in between stays', async () => {
    await kubectl.run(['create', 'configmap', 'shared', '--from-literal=a=1']);
    const old = await kubectl.run(['get', 'configmap', 'shared', '-o', 'json']);
    await kubectl.run(['patch', 'configmap', 'shared', '-p', '{"data":{"a":"2"}}']);
    await refused(
      kubectl.run(['replace', '-f', '-'], { input: old }),
      /Conflict/,
      /Operation cannot be fulfilled on configmaps "shared": the object has been modified; please apply your changes to the latest version and try again/,
    );
    assert.equal(await kubectl.run(['get', 'configmap', 'shared', '-o', 'jsonpath={.data.a}']), '2');
  });

  it('an object too large for its kind, and a body too large for any', async () => {
    const sized = (bytes: number): object => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'big' },
      data: { a: 'x'.repeat(bytes) },
    });
    await refused(create(sized(2 << 20)), /"big" is invalid/, /may not be more than 1048576 bytes/);
    await refused(create(sized(5 << 20)), /RequestEntityTooLarge/, /limit is 3145728/);
  });

  describe('certificates that do not count', () => {
    const pki = join(cluster.root, 'etc/kubernetes/pki');
    const path = join(cluster.root, 'other.conf');
    /** `kubectl get nodes` with a kubeconfig of these. */
    const getNodes = (pair: KeyPair, ca: string): Promise<string> => {
      writeFileSync(
        path,
        formatKubeconfig({ clusterName: 'k', server: 'https://192.0.2.10:6443', user: 'u', ca, ...pair }),
        { mode: 0o600 },
      );
      return kubectl.run(['get', 'nodes', '--kubeconfig', path]);
    };
    const admin = {
      commonName: 'kubernetes-admin',
      organizations: ['system:masters'],
      usages: ['client'],
    } as const;
    const realCa = (): KeyPair => ({
      cert: readFileSync(join(pki, 'ca.crt'), 'utf8'),
      key: readFileSync(join(pki, 'ca.key'), 'utf8'),
    });
    /** What the server says to such a client; kubectl puts words of its own in its place. */
    const answerTo = (pair: KeyPair): Promise<{ code: number; message: string }> =>
      new Promise((resolve, reject) => {
        const options = {
          ...pair,
          ca: realCa().cert,
          host: '192.0.2.10',
          port: 6443,
          path: '/api/v1/nodes',
          agent: false,
        };
        get(options, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve(JSON.parse(text) as { code: number; message: string }));
        }).on('error', reject);
      });

    it('an expired one of the cluster’s own CA', async () => {
      const ca = realCa();
      const spec = { ...admin, validityMs: -3600_000 };
      const expired = await issueLeaf(ca, spec, 'ECDSA-P256', Date.now());
      await refused(getNodes(expired, ca.cert), /You must be logged in to the server/);
      const { code, message } = await answerTo(expired);
      assert.equal(code, 401);
      assert.match(message, /the client certificate .*has expired/);
    });

    it('one of a foreign CA of the same name', async () => {
      const foreign = await createAuthority('kubernetes', 'ECDSA-P256', Date.now());
      const leaf = await issueLeaf(foreign, admin, 'ECDSA-P256', Date.now());
      await refused(getNodes(leaf, realCa().cert), /You must be logged in to the server/);
      await refused(getNodes(leaf, foreign.cert), /certificate signed by unknown authority/);
      assert.match(
        (await answerTo(leaf)).message,
        /the client certificate is not signed by this cluster’s CA/,
      );
    });

    it('a server’s certificate in a client’s place', async () => {
      const ca = realCa();
      const leaf = await issueLeaf(ca, { ...admin, usages: ['server'] }, 'ECDSA-P256', Date.now());
      await refused(getNodes(leaf, ca.cert), /You must be logged in to the server/);
      assert.equal((await answerTo(leaf)).code, 401);
    });
  });
});
