import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressBytes, addressText, macText } from '../socket/address.ts';
import { arpOperation, encodeArp, gratuitousArp, parseArp } from './arp.ts';
import { broadcastMac } from './ethernet.ts';
import {
  encodeSolicitation,
  multicastMac,
  parseNeighborMessage,
  solicitedNodeGroup,
  unsolicitedAdvertisement,
} from './ndp.ts';
import { macKey, type Outcome, OwnedAddresses, respond, type ResponderLink } from './responder.ts';

const asker = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);
const link: ResponderLink = {
  index: 2,
  mac: Uint8Array.of(2, 0, 0, 0, 0, 0xbb),
};
const otherOwnMac = Uint8Array.of(2, 0, 0, 0, 0, 0xcc);
const ownMacs = new Set([link.mac, otherOwnMac].map((mac) => macKey(mac, 0)));
const owned = new OwnedAddresses();
for (const address of ['192.0.2.9', '2001:db8::9']) owned.set(address, addressBytes(address), new Set([2]));
for (const address of ['192.0.2.10', '2001:db8::10']) owned.set(address, addressBytes(address), new Set([3]));

const answerTo = (frame: Uint8Array): Outcome => respond(frame, link, owned, ownMacs);

function ask(
  target: string,
  options: { sender?: string; to?: Uint8Array; mac?: Uint8Array; operation?: number } = {},
) {
  return encodeArp(options.to ?? broadcastMac, {
    operation: options.operation ?? arpOperation.request,
    senderMac: options.mac ?? asker,
    senderIp: addressBytes(options.sender ?? '192.0.2.2'),
    targetMac: new Uint8Array(6),
    targetIp: addressBytes(target),
  });
}

function solicit(target: string, source = 'fe80::aa', to?: { ip: string; mac: Uint8Array }) {
  const group = solicitedNodeGroup(addressBytes(target));
  return encodeSolicitation({
    source: addressBytes(source),
    destination: to === undefined ? group : addressBytes(to.ip),
    destinationMac: to?.mac ?? multicastMac(group),
    target: addressBytes(target),
    mac: asker,
  });
}

describe('answers to ARP', () => {
  it('a broadcast question for an owned address', () => {
    const outcome = answerTo(ask('192.0.2.9'));
    assert.equal(outcome.kind, 'answer');
    const packet = parseArp(outcome.frame);
    assert.equal(macText(packet?.senderMac ?? broadcastMac), '02:00:00:00:00:bb');
    assert.deepEqual(packet?.targetIp, addressBytes('192.0.2.2'));
  });

  it('a probe, whose sender has no address yet, and a refresh to this station alone', () => {
    assert.equal(answerTo(ask('192.0.2.9', { sender: '0.0.0.0' })).kind, 'answer');
    assert.equal(answerTo(ask('192.0.2.9', { to: link.mac })).kind, 'answer');
  });

  for (const [what, frame, why] of [
    ['an address that is nobody’s here', ask('192.0.2.8'), 'not-owned'],
    ['an address that belongs to another interface', ask('192.0.2.10'), 'other-interface'],
    ['a reply', ask('192.0.2.9', { operation: arpOperation.reply }), 'not-a-request'],
    ['an unknown operation', ask('192.0.2.9', { operation: 3 }), 'not-a-request'],
    ['another station’s frame', ask('192.0.2.9', { to: asker }), 'not-for-this-station'],
    [
      'a group that is not everyone',
      ask('192.0.2.9', { to: Uint8Array.of(1, 0, 0x5e, 0, 0, 1) }),
      'not-for-this-station',
    ],
    ['this machine by its other interface', ask('192.0.2.9', { mac: otherOwnMac }), 'own-frame'],
    ['a group as the asker', ask('192.0.2.9', { mac: broadcastMac }), 'malformed'],
    ['nobody as the asker', ask('192.0.2.9', { mac: new Uint8Array(6) }), 'malformed'],
  ] as const)
    it(`${what}: none`, () => assert.deepEqual(answerTo(frame), { kind: 'ignored', why }));

  it('another station that announces an owned address claims it', () => {
    for (const frame of gratuitousArp(addressBytes('192.0.2.9'), asker))
      assert.deepEqual(answerTo(frame), { kind: 'claim', address: '192.0.2.9', mac: asker });
    const own = gratuitousArp(addressBytes('192.0.2.9'), otherOwnMac);
    for (const frame of own) assert.equal(answerTo(frame).kind, 'ignored');
  });

  it('an address that was given up is answered for no more', () => {
    const table = new OwnedAddresses();
    table.set('192.0.2.9', addressBytes('192.0.2.9'), new Set([2]));
    table.delete(addressBytes('192.0.2.9'));
    assert.deepEqual(respond(ask('192.0.2.9'), link, table, ownMacs), { kind: 'ignored', why: 'not-owned' });
  });
});

describe('answers to neighbour solicitations', () => {
  it('a solicitation in the group, and a refresh to this station alone', () => {
    for (const frame of [
      solicit('2001:db8::9'),
      solicit('2001:db8::9', 'fe80::aa', { ip: '2001:db8::9', mac: link.mac }),
    ]) {
      const outcome = answerTo(frame);
      assert.equal(outcome.kind, 'answer');
      const message = parseNeighborMessage(outcome.frame);
      assert.equal(message?.solicited, true);
      assert.equal(addressText(message.source), '2001:db8::9');
      assert.equal(addressText(message.destination), 'fe80::aa');
      assert.deepEqual(message.linkAddress, link.mac);
    }
  });

  it('a probe for duplicates is answered to everyone', () => {
    const outcome = answerTo(solicit('2001:db8::9', '::'));
    assert.equal(outcome.kind, 'answer');
    const message = parseNeighborMessage(outcome.frame);
    assert.equal(addressText(message?.destination ?? new Uint8Array(16)), 'ff02::1');
    assert.equal(message?.solicited, false);
  });

  for (const [what, frame, why] of [
    ['an address that is nobody’s here', solicit('2001:db8::8'), 'not-owned'],
    ['an address that belongs to another interface', solicit('2001:db8::10'), 'other-interface'],
    [
      'another station’s frame',
      solicit('2001:db8::9', 'fe80::aa', { ip: '2001:db8::9', mac: asker }),
      'not-for-this-station',
    ],
  ] as const)
    it(`${what}: none`, () => assert.deepEqual(answerTo(frame), { kind: 'ignored', why }));

  it('an advertisement of another station, or its question from an owned address, claims it', () => {
    const target = addressBytes('2001:db8::9');
    const claim = { kind: 'claim', address: '2001:db8::9', mac: asker };
    assert.deepEqual(answerTo(unsolicitedAdvertisement(target, asker)), claim);
    assert.deepEqual(answerTo(solicit('2001:db8::1', '2001:db8::9')), claim);
  });
});
