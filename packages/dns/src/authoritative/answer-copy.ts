/** An answer that is the same for all, written out for one client. */
import type { ReadyAnswer } from './answer-cache.ts';
import { sizeOfOpt } from './option-writer.ts';

const truncatedFlag = 0x02;

/** Copies `length` octets, and returns how many; a loop is quicker than the built-in copy for answers of usual length. */
export function copy(from: Uint8Array, at: number, length: number, to: Uint8Array, toAt: number): number {
  if (length > 512) to.set(from.subarray(at, at + length), toAt);
  else for (let i = 0; i < length; i++) to[toAt + i] = from[at + i] as number;
  return length;
}

/** Copies the answer's header, question and OPT alone; how long that is. */
export function copyTruncated(answer: ReadyAnswer, hasOpt: boolean, out: Buffer, outStart: number): number {
  const { bytes, at, length } = answer;
  const questionEnd = endOfQuestion(bytes, at);
  copy(bytes, at, questionEnd - at, out, outStart);
  out.fill(0, outStart + 6, outStart + 12);
  if (!hasOpt) return questionEnd - at;
  out[outStart + 11] = 1;
  const size = sizeOfOpt(bytes, at + length);
  return questionEnd - at + copy(bytes, at + length - size, size, out, outStart + questionEnd - at);
}

/** What an answer takes over from its query at `start`: the id, RD, and the case of the question's letters (0x20). */
export function adopt(
  query: Uint8Array,
  start: number,
  nameLength: number,
  out: Uint8Array,
  outStart: number,
  isTruncated: boolean,
): void {
  out[outStart] = query[start] as number;
  out[outStart + 1] = query[start + 1] as number;
  const flags = ((out[outStart + 2] as number) & 0xfe) | ((query[start + 2] as number) & 1);
  out[outStart + 2] = isTruncated ? flags | truncatedFlag : flags;
  for (let i = 0; i < nameLength; i++) out[outStart + 12 + i] = query[start + 12 + i] as number;
}

/** Where the first question of an answer of ours ends. */
function endOfQuestion(bytes: Uint8Array, at: number): number {
  let position = at + 12;
  if (bytes[at + 5] === 0) return position;
  for (let size = bytes[position] as number; size !== 0; size = bytes[position] as number)
    position += size + 1;
  return position + 5;
}
