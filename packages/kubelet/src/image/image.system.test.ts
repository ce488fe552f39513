import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { NamespaceMode } from '../cri/generated/types.ts';
import { startTestNode, type TestNode, until } from '../testing/node.ts';
import { buildImage } from './build.ts';
import { importImage } from './import.ts';
import { listImages } from './list.ts';

/** The pod uses the host's network, so the port must be a free one. */
const specFor = (port: number): string => `
name: example.org/web:1
packages: [nginx-light, busybox-static]
without: [iproute2, libnginx-mod-http-echo]
busybox: true
files:
  /etc/nginx/nginx.conf: |
    daemon off;
    pid /tmp/nginx.pid;
    events {}
    http { server { listen 127.0.0.1:${port}; root /srv; } }
  /srv/index.html: {source: page.html}
  /srv/private: {content: secret, mode: "0600", owner: "www-data:www-data"}
entrypoint: [nginx]
stopSignal: SIGQUIT
`;

describe('cloudless image', () => {
  let node: TestNode;
  let port = 0;
  let spec = '';
  before(async () => {
    node = await startTestNode('img');
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    port = (probe.address() as AddressInfo).port;
    probe.close();
    spec = specFor(port);
  });
  after(async () => {
    await node?.dispose();
  });

  const build = async (text: string) => {
    const specPath = join(node.context.root, 'image.yaml');
    writeFileSync(specPath, text);
    writeFileSync(join(node.context.root, 'page.html'), 'built from packages\n');
    return buildImage({ context: node.context, specPath });
  };

  it('builds from Debian packages what runs and serves', async () => {
    const image = await build(spec);
    assert.ok(image.sizeBytes < 30e6, `${image.sizeBytes}`);
    assert.ok(image.packages.some((each) => each.startsWith('libc6=')));
    assert.ok(
      !image.packages.some((each) => /^(debconf|iproute2|perl-base)=/.test(each)),
      image.packages.join(' '),
    );
    assert.deepEqual(
      await importImage({ socketPath: node.containerd.socketPath, archive: image.archivePath }),
      ['example.org/web:1'],
    );
    const listed = (await listImages(node.cri)).find((each) => each.references.includes('example.org/web:1'));
    assert.equal(listed?.id, image.imageId);

    const sandbox = {
      metadata: { name: 'web', namespace: 'default', uid: 'uid-web', attempt: 0 },
      logDirectory: join(node.context.paths.podLogs, 'web'),
      linux: {
        cgroupParent: `/cloudless-test-img-${process.pid}`,
        securityContext: { namespaceOptions: { network: NamespaceMode.NODE } },
      },
    };
    const { podSandboxId } = await node.cri.runPodSandbox({ config: sandbox });
    const { containerId } = await node.cri.createContainer({
      podSandboxId,
      sandboxConfig: sandbox,
      config: { metadata: { name: 'web' }, image: { image: 'example.org/web:1' }, logPath: 'web.log' },
    });
    await node.cri.startContainer({ containerId });
    const exec = async (script: string): Promise<string> => {
      const { stdout, stderr, exitCode } = await node.cri.execSync({
        containerId,
        cmd: ['sh', '-c', script],
        timeout: 5n,
      });
      return exitCode === 0 ? Buffer.from(stdout).toString() : `failed: ${Buffer.from(stderr).toString()}`;
    };
    const page = await until('a page', () =>
      fetch(`http://127.0.0.1:${port}/`).then(
        (response) => response.text(),
        () => undefined,
      ),
    );
    assert.equal(page, 'built from packages\n');
    assert.equal(await exec('stat -c "%U %a" /srv/private'), 'www-data 600\n');
    assert.equal(await exec('ls /usr/share/doc/nginx-common'), 'copyright\n');
    await node.cri.stopContainer({ containerId, timeout: 10n });
    assert.equal((await node.cri.containerStatus({ containerId })).status?.exitCode, 0);
  });

  it('the same specification gives the same image', async () => {
    assert.equal((await build(spec)).imageId, (await build(spec)).imageId);
  });

  it('says what is wrong', async () => {
    await assert.rejects(
      build('name: a:1\npackages: [no-such-package-here]\n'),
      /no package "no-such-package-here"/,
    );
    await assert.rejects(
      build('name: a:1\nfiles: {/a: {source: missing}}\n'),
      /files\["\/a"\]\.source: .*missing cannot be read/,
    );
    await assert.rejects(
      build('name: a:1\nfiles: {/a: x}\nentrypoint: [/b]\n'),
      /entrypoint\[0\]: the image has no \/b/,
    );
    await assert.rejects(
      build('name: a:1\nfiles: {/a: {content: x, owner: "nobodyknows"}}\n'),
      /no user "nobodyknows"/,
    );
    const broken = join(node.context.root, 'broken.tar');
    writeFileSync(broken, 'no archive');
    await assert.rejects(
      importImage({ socketPath: node.containerd.socketPath, archive: broken }),
      /broken\.tar cannot be loaded/,
    );
  });
});
