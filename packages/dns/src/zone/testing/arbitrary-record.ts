import * as fc from 'fast-check';
import type { ResourceRecord } from '../../wire/message.ts';
import { readName, writeName } from '../../wire/name.ts';
import { rrType } from '../../wire/types.ts';

const label = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => {
  const wire = Buffer.concat([Buffer.of(bytes.length), bytes, Buffer.of(0)]);
  return readName(wire, 0).name.toLowerCase();
});
const name = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((labels) => [...labels, 'example.org'].join('.'));
const ttlSeconds = fc.integer({ min: 0, max: 0x7fff_ffff });
const bytes = (size: number) =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((data) => Buffer.from(data));
/** Records of example.org whose names and data have any octets. */
export const arbitraryRecord: fc.Arbitrary<ResourceRecord> = fc.oneof(
  fc.record({ name, type: fc.constant(rrType.A), ttlSeconds, data: bytes(4) }),
  fc.record({ name, type: fc.constant(rrType.AAAA), ttlSeconds, data: bytes(16) }),
  fc.record({ name, type: fc.constant(65_400), ttlSeconds, data: bytes(9) }),
  fc.record({
    name,
    type: fc.constant(rrType.TXT),
    ttlSeconds,
    data: fc.uint8Array({ maxLength: 60 }).map((text) => Buffer.from([text.length, ...text])),
  }),
  fc.record({
    name,
    type: fc.constant(rrType.MX),
    ttlSeconds,
    data: fc
      .tuple(bytes(2), name)
      .map(([preference, target]) => Buffer.concat([preference, writeName(target)])),
  }),
);
