import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeadLooks } from './head-looks.ts';

describe('looks at the head of a shared log', () => {
  it('begin after whoever asked, and are shared by all who ask meanwhile', async () => {
    const ends: Array<PromiseWithResolvers<void>> = [];
    const looks = new HeadLooks(() => {
      const end = Promise.withResolvers<void>();
      ends.push(end);
      return end.promise;
    });
    const told: string[] = [];
    const first = looks.look().then(() => told.push('first'));
    const late = [looks.look(), looks.look()].map((look) => look.then(() => told.push('late')));
    assert.equal(ends.length, 1, 'one look is under way');
    ends[0]?.resolve();
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, ['first'], 'the others wait for a look that begins after they asked');
    assert.equal(ends.length, 2);
    ends[1]?.resolve();
    await Promise.all(late);
    assert.equal(ends.length, 2, 'and share it');
  });

  it('go on after one that failed', async () => {
    let count = 0;
    const looks = new HeadLooks(async () => {
      if (count++ === 0) throw new Error('lost');
    });
    const [first, second] = await Promise.allSettled([looks.look(), looks.look()]);
    assert.deepEqual([first.status, second.status], ['rejected', 'fulfilled']);
    await looks.look();
    assert.equal(count, 3);
  });
});
