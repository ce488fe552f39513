import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Probe } from '@cloudless/kube/types/core-v1';
import { simulatedRuntime } from '../simulated/runtime.ts';
import type { ProbeKind } from '../sync/plan.ts';
import { type ProbeHandlers, realHandlers } from './handlers.ts';
import { Prober } from './prober.ts';

/** Lets the clock's callbacks and what they await run. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

/** Runs a probe whose looks give `looks` (`+` success, `-` failure), a second apart; one line of what it told. */
async function told(kind: ProbeKind, probe: Probe, looks: string, started = true): Promise<string> {
  const clock = new FakeClock();
  const lines: string[] = [];
  let at = 0;
  const exec: ProbeHandlers['exec'] = async () =>
    looks[at++] === '+' ? { result: 'success', message: '' } : { result: 'failure', message: 'no' };
  const prober = new Prober({
    clock,
    handlers: { exec } as unknown as ProbeHandlers,
    target: {
      containerId: 'c',
      container: { name: 'main' },
      kind,
      probe: { exec: {}, periodSeconds: 1, ...probe },
      startedAtMs: clock.nowMs(),
      host: () => '',
    },
    onVerdict: (verdict) => lines.push(`${verdict}@${clock.monotonicMs() / 1000}`),
    onEvent: () => undefined,
    hasStarted: () => started,
  });
  for (let second = 0; second <= looks.length; second++) {
    clock.advance(second === 0 ? 0 : 1000);
    await settle();
  }
  prober.stop();
  assert.equal(clock.pendingTimers, 0);
  return lines.join(' ');
}

void describe('a prober', () => {
  void it('tells a success at once and a failure after three', async () => {
    assert.equal(await told('readiness', {}, '+--+---'), 'success@0 failure@6');
  });
  void it('counts to its own thresholds', async () => {
    assert.equal(
      await told('readiness', { failureThreshold: 1, successThreshold: 2 }, '-++-'),
      'failure@0 success@2 failure@3',
    );
  });
  void it('waits its initial delay', async () => {
    assert.equal(await told('liveness', { initialDelaySeconds: 2, failureThreshold: 1 }, '---'), 'failure@2');
  });
  void it('ends with its verdict when it is a startup probe', async () => {
    assert.equal(await told('startup', { failureThreshold: 30 }, '--+---'), 'success@2');
  });
  void it('does not look before the container has started up', async () => {
    assert.equal(await told('liveness', { failureThreshold: 1 }, '---', false), '');
  });
});

void describe('probes of the network', () => {
  const server = createServer((request, response) => {
    if (request.url === '/moved') response.writeHead(302, { location: '/ok' }).end();
    else if (request.url === '/away')
      response.writeHead(302, { location: 'http://elsewhere.example/' }).end();
    else if (request.url === '/slow') setTimeout(() => response.end(), 500).unref();
    else if (request.url === '/headers')
      response
        .writeHead(request.headers['x-a'] === 'b' && request.headers.host === 'h.example' ? 200 : 400)
        .end();
    else response.writeHead(request.url === '/ok' ? 200 : 500).end('body');
  });
  let port = 0;
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => server.close());
  const handlers = realHandlers(simulatedRuntime({ clock: new FakeClock() }));
  const container = { name: 'main' };
  const get = (path: string, more = {}) =>
    handlers.http(
      '127.0.0.1',
      { ...container, ports: [{ name: 'web', containerPort: port }] },
      { path, port: 'web', ...more },
      200,
    );

  void it('take 2xx and 3xx for well, and follow redirects within the host', async () => {
    assert.equal((await get('/ok')).result, 'success');
    assert.equal((await get('/moved')).result, 'success');
    assert.equal((await get('/away')).result, 'warning');
    assert.equal(
      (
        await get('/headers', {
          httpHeaders: [
            { name: 'X-A', value: 'b' },
            { name: 'Host', value: 'h.example' },
          ],
        })
      ).result,
      'success',
    );
  });
  void it('tell failures in upstream’s words', async () => {
    assert.equal((await get('/bad')).message, 'HTTP probe failed with statuscode: 500');
    assert.match(
      (await get('/slow')).message,
      /^Get "http:\/\/127\.0\.0\.1:\d+\/slow": context deadline exceeded/,
    );
    const refused = await handlers.tcp('127.0.0.1', container, { port: 1 }, 500);
    assert.equal(refused.message, 'dial tcp 127.0.0.1:1: connect: connection refused');
    assert.equal((await handlers.tcp('127.0.0.1', container, { port }, 500)).result, 'success');
    await assert.rejects(
      handlers.tcp('127.0.0.1', container, { port: 'none' }, 500),
      /couldn't find port: "none"/,
    );
  });
});
