// Frames as nobody sends them: 20,000 by default, 200,000 in `npm run test:long`. SEED repeats a run, ITERATIONS are thousands.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressBytes } from '../socket/address.ts';
import { seededFrames } from '../testing/frame-mutations.ts';
import { parseArp } from './arp.ts';
import { parseNeighborMessage } from './ndp.ts';
import { macKey, OwnedAddresses, respond, type ResponderLink } from './responder.ts';
import { parseRouteMessages } from './rtnetlink.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 20);

const link: ResponderLink = {
  index: 2,
  mac: Uint8Array.of(2, 0, 0, 0, 0, 0xbb),
};
const addresses = ['192.0.2.9', '2001:db8::9'];
const owned = new OwnedAddresses();
for (const address of addresses) owned.set(address, addressBytes(address), new Set([2]));
const ownMacs = new Set([macKey(link.mac, 0)]);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The internet checksum of a packet with its pseudo header, another way than the codec's. */
function checksumHolds(frame: Uint8Array): boolean {
  const length = Buffer.from(frame).readUInt16BE(18);
  const icmp = Buffer.from(frame.subarray(54, 54 + length));
  const tail = Buffer.from([0, 0, length >> 8, length & 0xff, 0, 0, 0, 58]);
  const bytes = Buffer.concat([frame.subarray(22, 54), tail, icmp, Buffer.alloc(length % 2)]);
  let sum = 0n;
  for (let at = 0; at < bytes.length; at += 2) sum += BigInt(bytes.readUInt16BE(at));
  return sum % 0xffffn === 0n;
}

/** Whether the bytes are a question for an owned address, told from them alone. */
function mayBeAnswered(frame: Uint8Array): boolean {
  const text = hex(frame);
  const type = text.slice(24, 28);
  if (type === '0806')
    return (
      frame.length >= 42 &&
      /^000[16]080006040001$/.test(text.slice(28, 44)) &&
      text.slice(76, 84) === hex(addressBytes('192.0.2.9'))
    );
  return (
    type === '86dd' &&
    frame.length >= 78 &&
    frame[20] === 58 &&
    frame[21] === 255 &&
    frame[54] === 135 &&
    frame[55] === 0 &&
    text.slice(124, 156) === hex(addressBytes('2001:db8::9')) &&
    checksumHolds(frame)
  );
}

describe('frames as nobody sends them', () => {
  it(`${iterations},000 frames, seed ${seed}: no throw, no answer but to a question, each answer lawful`, () => {
    const frames = seededFrames(seed);
    let answered = 0;
    for (let i = 0; i < iterations * 1000; i++) {
      const frame = frames();
      const before = hex(frame);
      const outcome = respond(frame, link, owned, ownMacs);
      assert.equal(hex(frame), before, 'the question is left as it is');
      if (outcome.kind !== 'answer') continue;
      answered += 1;
      assert.ok(mayBeAnswered(frame), `answered ${before}`);
      assert.ok(addresses.includes(outcome.address));
      assert.deepEqual(outcome.frame.subarray(6, 12), link.mac);
      const reply = parseArp(outcome.frame);
      const advertised = parseNeighborMessage(outcome.frame);
      assert.deepEqual(reply?.senderMac ?? advertised?.linkAddress, link.mac);
      assert.deepEqual(reply?.senderIp ?? advertised?.target, addressBytes(outcome.address));
      assert.equal((outcome.frame[0] as number) & 1, advertised?.solicited === false ? 1 : 0);
    }
    // Enough got through for the checks above to mean something, and most did not.
    assert.ok(answered > iterations * 10 && answered < iterations * 600, `${answered} answers`);
  });

  it(`${iterations},000 netlink messages that are none, seed ${seed}: read to their end without a throw`, () => {
    const frames = seededFrames(seed);
    for (let i = 0; i < iterations * 1000; i++) {
      const frame = frames();
      // A length that fits and a type that is known, so that what is inside is read.
      if (frame.length >= 16) {
        frame.set([frame.length & 0xff, frame.length >> 8, 0, 0, [16, 20, 24, 2][i & 3] as number, 0]);
        if ((i & 4) !== 0 && frame.length > 24) frame.set([2, 32, 0, 0], 16);
      }
      for (const message of parseRouteMessages(frame))
        if (message.kind === 'address') assert.ok([4, 16].includes(message.address.address.length));
    }
  });
});
