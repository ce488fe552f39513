/** Frames for a fuzzer: what members send, broken in the ways in which networks and enemies break it. */

const pick = <T>(random: () => number, list: readonly T[]): T | undefined =>
  list[Math.floor(random() * list.length)];

/** Random bytes, often with a type in front that the reader would take up. */
export function randomFrame(random: () => number, maxBytes = 400): Buffer {
  const frame = Buffer.from(
    Array.from({ length: 1 + Math.floor(random() * maxBytes) }, () => Math.floor(random() * 256)),
  );
  if (random() < 0.7) frame[0] = pick(random, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 244]) ?? 0;
  if (random() < 0.4 && frame.length > 1) frame[1] = 0x80 | Math.floor(random() * 16);
  return frame;
}

type Mutation = (frame: Buffer, random: () => number, corpus: readonly Buffer[]) => Buffer;

const mutations: readonly Mutation[] = [
  // A few bits.
  (frame, random) => {
    const copy = Buffer.from(frame);
    for (let times = 1 + Math.floor(random() * 4); times > 0; times--) {
      const at = Math.floor(random() * copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    }
    return copy;
  },
  // A byte that means a length or a type.
  (frame, random) => {
    const copy = Buffer.from(frame);
    const extremes = [0, 0x7f, 0x8f, 0xbf, 0xc6, 0xcf, 0xd3, 0xdb, 0xdd, 0xdf, 0xff];
    copy[Math.floor(random() * copy.length)] = pick(random, extremes) ?? 0;
    return copy;
  },
  // Cut off.
  (frame, random) => frame.subarray(0, Math.floor(random() * frame.length)),
  // Bytes too many.
  (frame, random) => Buffer.concat([frame, randomFrame(random, 60)]),
  // A part taken out.
  (frame, random) => {
    const from = Math.floor(random() * frame.length);
    return Buffer.concat([frame.subarray(0, from), frame.subarray(from + 1 + Math.floor(random() * 8))]);
  },
  // The head of one and the tail of another.
  (frame, random, corpus) => {
    const other = pick(random, corpus) ?? frame;
    return Buffer.concat([
      frame.subarray(0, Math.floor(random() * frame.length)),
      other.subarray(Math.floor(random() * other.length)),
    ]);
  },
];

/** One frame of the corpus, broken one to three times. */
export function mutatedFrame(corpus: readonly Buffer[], random: () => number): Buffer {
  let frame = pick(random, corpus) ?? Buffer.alloc(1);
  for (let times = 1 + Math.floor(random() * 3); times > 0; times--)
    frame = pick(random, mutations)?.(frame, random, corpus) ?? frame;
  return frame;
}
