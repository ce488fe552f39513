import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type NodeContext, nodeContext } from '@cloudless/kube/node/context';
import { askSupervisor, serveControlSocket, type SupervisorStatus } from './control-socket.ts';

const status: SupervisorStatus = {
  pid: 1,
  startedMs: 0,
  ready: true,
  step: 'done',
  failure: undefined,
  children: [],
};

describe('the supervisor’s socket', () => {
  let context: NodeContext;
  const path = (): string => join(context.paths.run, 'supervisor.sock');
  beforeEach(() => {
    context = nodeContext({ root: mkdtempSync(join(tmpdir(), 'cl-')), nodeName: 'n' });
  });
  afterEach(() => rmSync(context.root, { recursive: true }));
  /** Sends bytes, and resolves to what came back when the other side hung up. */
  const send = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(path());
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      socket.on('error', () => {});
      socket.on('close', () => resolve(answer));
      socket.end(text);
    });

  it('answers, and only its own user may ask', async () => {
    await using _ = await serveControlSocket(context, async () => status);
    assert.deepEqual(await askSupervisor(context, { command: 'status' }), JSON.parse(JSON.stringify(status)));
    assert.equal(statSync(path()).mode & 0o777, 0o600);
  });

  it('there is no answer where none runs: no socket, a dead one, no folder', async () => {
    assert.equal(await askSupervisor(context, { command: 'status' }), undefined);
    mkdirSync(context.paths.run, { recursive: true });
    writeFileSync(path(), '');
    assert.equal(await askSupervisor(context, { command: 'status' }), undefined);
  });

  it('hangs up on whatever it does not understand, and goes on', async () => {
    let calls = 0;
    await using _ = await serveControlSocket(context, async () => {
      calls += 1;
      return status;
    });
    for (const text of ['', 'hello', 'null', '{}', '{"command":"format"}', '[', 'x'.repeat(1 << 20)])
      assert.equal(await send(text), '', text.slice(0, 20));
    assert.equal(calls, 0);
    assert.ok(await askSupervisor(context, { command: 'status' }));
  });

  it('a failed answer is an error for the one who asked', async () => {
    await using _ = await serveControlSocket(context, () => Promise.reject(new Error('no')));
    await assert.rejects(askSupervisor(context, { command: 'stop' }), /ended without an answer|ECONNRESET/);
  });

  it('somebody who connects and says nothing does not keep it from stopping', async () => {
    const server = await serveControlSocket(context, async () => status);
    const idle = connect(path());
    idle.on('error', () => {});
    await new Promise((resolve) => idle.once('connect', resolve));
    await server.stop();
    assert.equal(await askSupervisor(context, { command: 'status' }), undefined);
  });

  it('takes the place of a dead supervisor’s socket, never of a living one’s', async () => {
    mkdirSync(context.paths.run, { recursive: true });
    writeFileSync(path(), '');
    const first = await serveControlSocket(context, async () => status);
    await assert.rejects(
      serveControlSocket(context, async () => status),
      /a supervisor answers at .*supervisor\.sock already: see 'cloudless status'/,
    );
    assert.ok(await askSupervisor(context, { command: 'status' }));
    await first.stop();
  });
});
