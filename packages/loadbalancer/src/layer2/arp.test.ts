import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressBytes } from '../socket/address.ts';
import { arpFrameBytes, arpOperation, arpReply, encodeArp, gratuitousArp, parseArp } from './arp.ts';
import { broadcastMac } from './ethernet.ts';

const asker = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);
const owner = Uint8Array.of(2, 0, 0, 0, 0, 0xbb);
const question = {
  operation: arpOperation.request,
  senderMac: asker,
  senderIp: addressBytes('192.0.2.2'),
  targetMac: new Uint8Array(6),
  targetIp: addressBytes('192.0.2.9'),
};

describe('ARP as bytes', () => {
  it('a request is the 42 bytes of RFC 826 over Ethernet', () => {
    assert.equal(
      Buffer.from(encodeArp(broadcastMac, question)).toString('hex'),
      'ffffffffffff0200000000aa080600010800060400010200000000aac0000202000000000000c0000209',
    );
  });

  it('is read as it was written, with padding behind it', () => {
    const frame = new Uint8Array(60);
    frame.set(encodeArp(broadcastMac, question));
    assert.deepEqual(parseArp(frame), question);
  });

  it('an answer goes to the asker alone and turns the question around', () => {
    const reply = arpReply(question, owner);
    assert.deepEqual([...reply.subarray(0, 12)], [...asker, ...owner]);
    assert.deepEqual(parseArp(reply), {
      operation: arpOperation.reply,
      senderMac: owner,
      senderIp: question.targetIp,
      targetMac: asker,
      targetIp: question.senderIp,
    });
  });

  it('is announced as a request and as a reply, to everyone', () => {
    const frames = gratuitousArp(question.targetIp, owner).map((frame) => parseArp(frame));
    assert.deepEqual(
      frames.map((packet) => packet?.operation),
      [arpOperation.request, arpOperation.reply],
    );
    for (const packet of frames) assert.deepEqual(packet?.senderIp, packet?.targetIp);
  });

  for (const [what, at, value] of [
    ['another EtherType', 13, 0],
    ['hardware that is no Ethernet', 15, 2],
    ['a protocol that is not IPv4', 16, 9],
    ['a hardware length of 8', 18, 8],
    ['a protocol length of 16', 19, 16],
  ] as const)
    it(`${what} is not read`, () => {
      const frame = encodeArp(broadcastMac, question);
      frame[at] = value;
      assert.equal(parseArp(frame), undefined);
    });

  it('a frame that was cut anywhere is not read', () => {
    const frame = encodeArp(broadcastMac, question);
    for (let length = 0; length < arpFrameBytes; length++)
      assert.equal(parseArp(frame.subarray(0, length)), undefined);
  });
});
