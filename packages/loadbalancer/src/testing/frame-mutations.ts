import { random } from '@cloudless/kube/testing/random';
import { addressBytes } from '../socket/address.ts';
import { arpOperation, encodeArp } from '../layer2/arp.ts';
import { broadcastMac } from '../layer2/ethernet.ts';
import { encodeSolicitation, icmpChecksum, multicastMac, solicitedNodeGroup } from '../layer2/ndp.ts';

const asker = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);
const icmpAt = 54;

/** A generator of numbers below `n`, from a seed. */
export function seededNumbers(seed: number): (n: number) => number {
  const next = random(seed);
  return (n) => Math.floor(next() * n);
}

/** Questions for 192.0.2.9 and 2001:db8::9 and their neighbours, as lawful senders ask. */
function lawfulFrame(below: (n: number) => number): Uint8Array {
  if (below(2) === 0)
    return encodeArp(broadcastMac, {
      operation: below(8) === 0 ? arpOperation.reply : arpOperation.request,
      senderMac: asker,
      senderIp: addressBytes(below(4) === 0 ? '0.0.0.0' : '192.0.2.2'),
      targetMac: new Uint8Array(6),
      targetIp: addressBytes(`192.0.2.${8 + below(3)}`),
    });
  const target = addressBytes(`2001:db8::${8 + below(3)}`);
  const group = solicitedNodeGroup(target);
  return encodeSolicitation({
    source: addressBytes(below(4) === 0 ? '::' : 'fe80::aa'),
    destination: group,
    destinationMac: multicastMac(group),
    target,
    mac: asker,
  });
}

/** One way to spoil a frame. */
type Mutation = (frame: Uint8Array, below: (n: number) => number) => Uint8Array;

const mutations: readonly Mutation[] = [
  (frame) => frame,
  (frame, below) => {
    const at = below(frame.length);
    frame[at] = (frame[at] as number) ^ (1 << below(8));
    return frame;
  },
  (frame, below) => {
    frame[below(frame.length)] = [0, 1, 0x7f, 0x80, 0xff][below(5)] as number;
    return frame;
  },
  (frame, below) => frame.slice(0, below(frame.length + 1)),
  (frame, below) => {
    const longer = new Uint8Array(frame.length + below(200));
    for (let i = frame.length; i < longer.length; i++) longer[i] = below(256);
    longer.set(frame);
    return longer;
  },
  // A VLAN tag that nobody took off.
  (frame, below) => {
    if (frame.length < 12) return frame;
    const tagged = new Uint8Array(frame.length + 4);
    tagged.set(frame.subarray(0, 12));
    tagged.set([0x81, 0, below(16), below(256)], 12);
    tagged.set(frame.subarray(12), 16);
    return tagged;
  },
  (_, below) => Uint8Array.from({ length: below(1600) }, () => below(256)),
  // Options and lengths of a neighbour message, its checksum right.
  (frame, below) => {
    if (frame.length < 78) return frame;
    const longer = new Uint8Array(Math.max(frame.length, 78 + below(64)));
    longer.set(frame);
    for (let i = 0; i < 3; i++) longer[18 + below(longer.length - 18)] = below(256);
    const length = below(4) === 0 ? below(256) : longer.length - icmpAt;
    longer.set([length >> 8, length & 0xff], 18);
    longer.fill(0, icmpAt + 2, icmpAt + 4);
    const sum = icmpChecksum(longer, Math.min(length, longer.length - icmpAt));
    longer.set([sum >> 8, sum & 0xff], icmpAt + 2);
    return longer;
  },
];

/** Frames from a seed: lawful ones, spoiled ones and noise. */
export function seededFrames(seed: number): () => Uint8Array {
  const below = seededNumbers(seed);
  return () => {
    let frame = lawfulFrame(below);
    for (let i = below(3); i >= 0; i--)
      if (frame.length > 0) frame = (mutations[below(mutations.length)] as Mutation)(frame, below);
    return frame;
  };
}
