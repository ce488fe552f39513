import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressBytes, addressText, macText } from '../socket/address.ts';
import {
  encodeAdvertisement,
  encodeSolicitation,
  icmpChecksum,
  multicastMac,
  parseNeighborMessage,
  solicitedNodeGroup,
  unsolicitedAdvertisement,
} from './ndp.ts';

const mac = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);
const target = addressBytes('2001:db8::12:3456');
const group = solicitedNodeGroup(target);
const icmpAt = 54;

const solicitation = (source = 'fe80::2'): Uint8Array =>
  encodeSolicitation({
    source: addressBytes(source),
    destination: group,
    destinationMac: multicastMac(group),
    target,
    mac,
  });

/** The frame with one byte changed and its checksum right again. */
function changed(frame: Uint8Array, at: number, value: number): Uint8Array {
  frame[at] = value;
  const length = ((frame[18] as number) << 8) | (frame[19] as number);
  frame.fill(0, icmpAt + 2, icmpAt + 4);
  const sum = icmpChecksum(frame, Math.min(length, frame.length - icmpAt));
  frame.set([sum >> 8, sum & 0xff], icmpAt + 2);
  return frame;
}

describe('neighbour discovery as bytes', () => {
  it('an address is asked for in the group of its last three bytes', () => {
    assert.equal(addressText(group), 'ff02::1:ff12:3456');
    assert.equal(macText(multicastMac(group)), '33:33:ff:12:34:56');
  });

  it('a solicitation is read as it was written', () => {
    const message = parseNeighborMessage(solicitation());
    assert.equal(message?.kind, 'solicitation');
    assert.deepEqual(message.target, target);
    assert.deepEqual(message.linkAddress, mac);
    assert.equal(addressText(message.source), 'fe80::2');
  });

  it('a probe for duplicates has no source and no link address', () => {
    const frame = solicitation('::');
    assert.equal(frame.length, icmpAt + 24);
    assert.equal(parseNeighborMessage(frame)?.linkAddress, undefined);
  });

  it('an advertisement overrides, and says whether it was asked for', () => {
    for (const solicited of [true, false]) {
      const destination = addressBytes(solicited ? 'fe80::2' : 'ff02::1');
      const frame = encodeAdvertisement({
        source: addressBytes('fe80::1'),
        destination,
        destinationMac: mac,
        target,
        mac,
        solicited,
      });
      const message = parseNeighborMessage(frame);
      assert.deepEqual(
        [message?.kind, message?.override, message?.solicited],
        ['advertisement', true, solicited],
      );
    }
    const announced = unsolicitedAdvertisement(target, mac);
    assert.equal(macText(announced.subarray(0, 6)), '33:33:00:00:00:01');
    assert.equal(parseNeighborMessage(announced)?.solicited, false);
  });

  it('has the checksum that another implementation computed', () => {
    // Written by hand from RFC 4861 section 4.3: fe80::2 asks for fe80::1.
    const frame = Buffer.from(
      [
        '3333ff00000102000000000286dd',
        '6000000000203afffe800000000000000000000000000002ff0200000000000000000001ff000001',
        '8700000000000000fe8000000000000000000000000000010101020000000002',
      ].join(''),
      'hex',
    );
    let sum = 0;
    const pseudo = Buffer.concat([
      frame.subarray(22, 54),
      Buffer.from([0, 0, 0, 32, 0, 0, 0, 58]),
      frame.subarray(54),
    ]);
    for (let at = 0; at < pseudo.length; at += 2) sum = (sum + pseudo.readUInt16BE(at)) % 0xffff;
    assert.equal(icmpChecksum(frame, 32), 0xffff - sum);
    frame.writeUInt16BE(0xffff - sum, 56);
    assert.ok(parseNeighborMessage(frame));
  });

  for (const [what, at, value] of [
    ['a hop limit of 254: it came over a router', 21, 254],
    ['IPv4 in the version', 14, 0x40],
    ['another next header', 20, 17],
    ['another type', icmpAt, 128],
    ['another code', icmpAt + 1, 1],
    ['a group as target', icmpAt + 8, 0xff],
    ['a group as source', 22, 0xff],
    ['an option of no length', icmpAt + 25, 0],
    ['an option that ends behind the packet', icmpAt + 25, 2],
    ['a payload longer than the frame', 19, 33],
    ['a payload shorter than the message', 19, 23],
  ] as const)
    it(`${what}: not read`, () =>
      assert.equal(parseNeighborMessage(changed(solicitation(), at, value)), undefined));

  it('a probe for duplicates with a link address, or not to the group of the target: not read', () => {
    const withOption = solicitation();
    withOption.fill(0, 22, 38);
    assert.equal(parseNeighborMessage(changed(withOption, 20, 58)), undefined);
    const toAllNodes = solicitation('::');
    toAllNodes.set(addressBytes('ff02::1'), 38);
    assert.equal(parseNeighborMessage(changed(toAllNodes, 20, 58)), undefined);
  });

  it('options that are not known are passed over', () => {
    const frame = new Uint8Array(icmpAt + 40);
    frame.set(solicitation());
    frame.copyWithin(icmpAt + 32, icmpAt + 24, icmpAt + 32);
    frame[icmpAt + 24] = 14; // a nonce (RFC 3971)
    frame[19] = 40;
    assert.deepEqual(parseNeighborMessage(changed(frame, 20, 58))?.linkAddress, mac);
  });

  it('any single flipped bit of the packet is noticed, or leaves what was asked as it was', () => {
    for (let bit = 14 * 8; bit < solicitation().length * 8; bit++) {
      const frame = solicitation();
      frame[bit >> 3] = (frame[bit >> 3] as number) ^ (1 << (bit & 7));
      const message = parseNeighborMessage(frame);
      // Traffic class and flow label are in no checksum and mean nothing here.
      if (bit >= 18 * 8 || message === undefined) assert.equal(message, undefined, `bit ${bit}`);
      else assert.deepEqual(message.target, target);
    }
  });
});
