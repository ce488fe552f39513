import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRouteMessages } from './rtnetlink.ts';

/** A message: its type, body, and attributes as `[type, bytes]`. */
function message(type: number, body: number[], attributes: Array<[number, number[]]>): Buffer {
  const parts = attributes.map(([number, bytes]) => {
    const padded = Buffer.alloc(4 + ((bytes.length + 3) & ~3));
    padded.writeUInt16LE(4 + bytes.length, 0);
    padded.writeUInt16LE(number, 2);
    padded.set(bytes, 4);
    return padded;
  });
  const whole = Buffer.concat([Buffer.alloc(16), Buffer.from(body), ...parts]);
  whole.writeUInt32LE(whole.length, 0);
  whole.writeUInt16LE(type, 4);
  return whole;
}

const [removedAddress, newRoute] = [21, 24];

describe('routing netlink as bytes', () => {
  it('an address that was removed is told like one that is there', () => {
    const bytes = message(
      removedAddress,
      [2, 24, 0, 0, 3, 0, 0, 0],
      [
        [1, [10, 0, 0, 255]],
        [2, [10, 0, 0, 1]],
      ],
    );
    const [told] = parseRouteMessages(bytes);
    assert.deepEqual(told?.kind === 'address' && [...told.address.address], [10, 0, 0, 1]);
  });

  it('an address under duplicate detection, or that failed it, is none yet; an optimistic one is', () => {
    const tentative = (flags: number): unknown => {
      const bytes = message(20, [10, 64, flags, 0, 3, 0, 0, 0], [[1, Array<number>(16).fill(1)]]);
      const [told] = parseRouteMessages(bytes);
      return told?.kind === 'address' && told.address.tentative;
    };
    assert.deepEqual([0x80, 0x40, 0x08, 0x44].map(tentative), [false, true, true, false]);
  });

  it('routes of other tables, of more than nothing, or that lead nowhere are not default routes', () => {
    const kinds = [
      [2, 0, 0, 0, 254, 3, 0, 1],
      [2, 0, 0, 0, 100, 3, 0, 1],
      [2, 8, 0, 0, 254, 3, 0, 1],
      [2, 0, 0, 0, 254, 3, 0, 7],
    ].map(
      (body) => parseRouteMessages(message(newRoute, [...body, 0, 0, 0, 0], [[4, [2, 0, 0, 0]]]))[0]?.kind,
    );
    assert.deepEqual(kinds, ['default-route', 'other-route', 'other-route', 'other-route']);
  });

  it('lengths that do not fit end the reading', () => {
    const bytes = message(3, [0, 0, 0, 0], []);
    assert.deepEqual(parseRouteMessages(bytes), [{ kind: 'done' }]);
    bytes.writeUInt32LE(15, 0);
    assert.deepEqual(parseRouteMessages(bytes), []);
    bytes.writeUInt32LE(21, 0);
    assert.deepEqual(parseRouteMessages(bytes), []);
  });
});
