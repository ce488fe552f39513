import { isSubdomain, labelsOf, parentOf, readName, writeName } from '../wire/name.ts';

/** The most that a name takes on the wire (RFC 1035 section 2.3.4). */
const maxNameBytes = 255;
const maxLabelBytes = 63;

/** The Labels field of an RRSIG: neither the root nor a `*` in front counts (RFC 4034 section 3.1.3). */
export function signatureLabels(owner: string): number {
  const labels = labelsOf(owner).length;
  return owner === '*' || owner.startsWith('*.') ? labels - 1 : labels;
}

/** The name one label longer than `closestEncloser` at or above `name` (RFC 5155 section 1.3: the next closer name). */
export function nextCloserOf(name: string, closestEncloser: string): string {
  let at = name;
  for (;;) {
    const above = parentOf(at);
    if (above === undefined || above === closestEncloser) return at;
    at = above;
  }
}

/**
 * The first name after `name` in canonical order that can stand in the zone (RFC 4471 section 3.1.2): a label of one zero
 * octet in front, or if that is too long, the first label one step further. The last name of all leads to the origin.
 */
export function successorOf(name: string, origin: string): string {
  const bytes = writeName(name);
  if (bytes.length + 2 <= maxNameBytes) return name === '' ? '\\000' : `\\000.${name}`;
  return longerOrNext(bytes, origin);
}

function longerOrNext(bytes: Buffer, origin: string): string {
  const size = bytes[0] as number;
  if (size === 0) return origin;
  const label = bytes.subarray(1, 1 + size);
  const rest = bytes.subarray(1 + size);
  const next =
    size < maxLabelBytes && bytes.length < maxNameBytes
      ? Buffer.concat([label, Buffer.of(0)])
      : incremented(label);
  // Every octet of the label is as high as can be: the next name is one after its parent's last.
  if (next === undefined) return longerOrNextOf(rest, origin);
  const { name } = readName(Buffer.concat([Buffer.of(next.length), next, rest]), 0);
  return isSubdomain(name, origin) ? name : origin;
}

function longerOrNextOf(parent: Buffer, origin: string): string {
  const { name } = readName(parent, 0);
  if (name === origin || !isSubdomain(name, origin)) return origin;
  const size = parent[0] as number;
  const next = incremented(parent.subarray(1, 1 + size));
  if (next === undefined) return longerOrNextOf(parent.subarray(1 + size), origin);
  return readName(Buffer.concat([Buffer.of(next.length), next, parent.subarray(1 + size)]), 0).name;
}

/** The label's last octet one higher, those at their end cut off; capital letters are passed over (RFC 4034 section 6.1). */
function incremented(label: Buffer): Buffer | undefined {
  let length = label.length;
  while (length > 0 && label[length - 1] === 0xff) length -= 1;
  if (length === 0) return undefined;
  const next = Buffer.from(label.subarray(0, length));
  const last = (next[length - 1] as number) + 1;
  next[length - 1] = last === 0x41 ? 0x5b : last;
  return next;
}
