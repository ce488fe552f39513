import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { MachineError } from '../machine.ts';
import { awaitStore } from './await-store.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a store that is not there yet', () => {
  const waiting = (open: () => Promise<string>) => {
    const clock = new FakeClock();
    const stopping = new AbortController();
    const told: string[] = [];
    const opened = awaitStore({
      open,
      mayPass: (error) => {
        if ((error as Error).message === 'wrong password') throw error;
        return (error as Error).message;
      },
      flag: '--etcd-servers https://192.0.2.1:2379',
      clock,
      signal: stopping.signal,
      onWaiting: (why) => told.push(why),
    });
    opened.catch(() => undefined);
    const pass = async (seconds: number): Promise<void> => {
      for (let i = 0; i < seconds * 2; i++) {
        await turn();
        clock.advance(500);
      }
      await turn();
    };
    return { opened, stopping, told, pass };
  };
  const refuse = async (): Promise<string> => {
    throw new Error('connect ECONNREFUSED');
  };

  it('is asked again until it answers, and said to be waited for once', async () => {
    let asked = 0;
    const { opened, told, pass } = waiting(() => (++asked < 5 ? refuse() : Promise.resolve('store')));
    await pass(3);
    assert.equal(await opened, 'store');
    assert.deepEqual([asked, told], [5, ['connect ECONNREFUSED']]);
  });

  it('is waited for a minute, and named then', async () => {
    const { opened, pass } = waiting(refuse);
    await pass(59);
    assert.equal(await Promise.race([opened, turn()]), undefined);
    await pass(3);
    await assert.rejects(
      opened,
      new MachineError('--etcd-servers https://192.0.2.1:2379: waited 60 s in vain, connect ECONNREFUSED'),
    );
  });

  it('is not waited for when waiting cannot help, or nobody wants it any more', async () => {
    const wrong = waiting(async () => {
      throw new Error('wrong password');
    });
    await assert.rejects(wrong.opened, /wrong password/);
    const { opened, stopping, pass } = waiting(refuse);
    await pass(2);
    stopping.abort();
    assert.equal(await opened, undefined);
  });
});
