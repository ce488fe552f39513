import assert from 'node:assert/strict';
import { get } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { freePort } from '@cloudless/kube/testing/free-port';
import { ask } from '../transfer/ask.ts';
import { rrType } from '../wire/types.ts';
import type { ExternalDns } from './external-dns.ts';
import { startExternalDns } from './start.ts';

const log = logger('test').child({}, { level: process.env['TEST_LOG'] ?? 'silent' });

describe('the query log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dns-queries-'));
  let dns: ExternalDns;
  let healthPort: number;
  before(async () => {
    writeFileSync(
      join(folder, 'example.org'),
      '@ 300 IN SOA ns admin 1 900 600 86400 60\n@ 300 IN NS ns\nns 300 IN A 192.0.2.1\n',
    );
    healthPort = await freePort();
    dns = await startExternalDns({
      config: { from: 'zones', path: folder },
      addresses: ['127.0.0.1'],
      port: 0,
      healthPort,
      log,
    });
    await dns.ready;
  });
  after(async () => {
    await dns.stop();
    rmSync(folder, { recursive: true });
  });
  const question = (name: string): Promise<unknown> =>
    ask(
      { questions: [{ name, type: rrType.A, class: 1 }] },
      { address: '127.0.0.1', port: dns.ports.dns, key: undefined },
      'udp',
      { keys: [], clock: systemClock, signal: AbortSignal.timeout(5000) },
    );
  const follow = (
    path: string,
  ): Promise<{ status: number | undefined; text: string; lines: AsyncIterator<string>; end: () => void }> =>
    new Promise((resolve, reject) => {
      const request = get({ host: '127.0.0.1', port: healthPort, path }, (response) => {
        const { statusCode: status } = response;
        if (status === 200) {
          const lines = createInterface({ input: response })[Symbol.asyncIterator]();
          resolve({ status, text: '', lines, end: () => request.destroy() });
          return;
        }
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('end', () =>
          resolve({ status, text, lines: (async function* () {})(), end: () => {} }),
        );
      });
      request.once('error', reject);
    });
  /** Asks until the log tells of it: threads hear that somebody listens a moment later. */
  const told = async (lines: AsyncIterator<string>, name: string): Promise<Record<string, unknown>> => {
    const asking = setInterval(() => void question(name).catch(() => {}), 20);
    try {
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- line by line; the threads may still tell of earlier ones
        const line = JSON.parse((await lines.next()).value as string) as Record<string, unknown>;
        if (line['name'] === name) return line;
      }
    } finally {
      clearInterval(asking);
    }
  };

  it('tells what is asked while somebody listens', async () => {
    const { lines, end } = await follow('/queries');
    const { client, transport, name, type, rcode } = await told(lines, 'NS.example.org');
    assert.match(String(client), /^127\.0\.0\.1:\d+$/);
    assert.deepEqual([transport, name, type, rcode], ['udp', 'NS.example.org', 'A', 'NOERROR']);
    end();
  });

  it('tells two of them, each what is below the name it asked for', async () => {
    const [all, below] = [await follow('/queries'), await follow('/queries?below=Sub.Example.org.')];
    assert.equal((await told(all.lines, 'ns.example.org'))['type'], 'A');
    assert.equal((await told(below.lines, 'a.sub.example.org'))['rcode'], 'NXDOMAIN');
    all.end();
    // One that leaves takes nothing from the other.
    assert.equal((await told(below.lines, 'sub.example.org'))['transport'], 'udp');
    below.end();
  });

  it('a name that is none is refused, and the process goes on', async () => {
    const { status, text } = await follow('/queries?below=a..b');
    assert.equal(status, 400);
    assert.match(text, /a\.\.b/);
    await question('ns.example.org');
  });
});
