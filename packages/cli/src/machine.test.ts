import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { findProgram } from '@cloudless/kubelet/containerd/machine';
import { checkPortFree, checkWritable, isOwnAddress, MachineError, whyNoContainers } from './machine.ts';

const says = (pattern: RegExp) => (error: unknown) =>
  error instanceof MachineError && pattern.test(error.message);

describe('what this machine can do', () => {
  it('a taken port is told with its holder and the flag', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const needed = { port, host: '127.0.0.1', flag: '--api-port', transport: 'tcp' } as const;
    await assert.rejects(
      checkPortFree(needed),
      says(
        new RegExp(
          `^port ${port} \\(tcp\\) on 127\\.0\\.0\\.1 is taken by \\S+ \\(pid ${process.pid}\\): stop that, or choose another with --api-port$`,
        ),
      ),
    );
    await new Promise((resolve) => server.close(resolve));
    await checkPortFree(needed);
  });

  it('so is one for UDP', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const { port } = socket.address();
    const needed = { port, host: '127.0.0.1', flag: undefined, transport: 'udp' } as const;
    await assert.rejects(checkPortFree(needed), says(/\(udp\) .* is taken by .*: stop that$/));
    socket.close();
  });

  it('an address of another machine is no place to listen', async () => {
    await assert.rejects(
      checkPortFree({ port: 1, host: '203.0.113.1', flag: '--api-port', transport: 'tcp' }),
      says(/^203\.0\.113\.1 is no address of this machine: see --node-ip$/),
    );
    assert.equal(isOwnAddress('203.0.113.1'), false);
    assert.equal(isOwnAddress('127.0.0.1'), true);
  });

  it('finds programs on the path first, and only those that can be run', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-path-'));
    const before = process.env['PATH'];
    try {
      writeFileSync(join(folder, 'containerd'), '', { mode: 0o644 });
      process.env['PATH'] = `${folder}:${before}`;
      assert.notEqual(findProgram('containerd'), join(folder, 'containerd'));
      chmodSync(join(folder, 'containerd'), 0o755);
      assert.equal(findProgram('containerd'), join(folder, 'containerd'));
      assert.equal(findProgram('no-such-program'), undefined);
    } finally {
      process.env['PATH'] = before;
      rmSync(folder, { recursive: true });
    }
  });

  it(
    'without containerd it says which package is missing',
    { skip: process.getuid?.() !== 0 && 'needs root' },
    () => {
      const without = (name: string) => (name === 'containerd' ? undefined : `/usr/bin/${name}`);
      assert.equal(whyNoContainers(without), 'containerd not found: apt-get install containerd');
    },
  );

  it('a folder that need not exist yet can be written to', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-write-'));
    mkdirSync(join(folder, 'a'));
    checkWritable(join(folder, 'a/b/c'));
    rmSync(folder, { recursive: true });
  });
});
