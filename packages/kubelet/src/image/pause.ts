import type { NodeContext } from '@cloudless/kube/node/context';
import type { CriRuntime } from '../cri/runtime.ts';
import { importImage } from './import.ts';
import { imageArchive, imageArchitecture, layerOf } from './oci.ts';
import { tarBuffer } from './tar.ts';

/** The image of every sandbox. It is made here, so that no registry is needed for the first pod. */
export const pauseImage = 'cloudless.dev/pause:1';

const baseAddress = 0x400000;
const headerBytes = 64 + 56;

/** `rt_sigaction(SIGCHLD, SIG_IGN)`, so that children are reaped by the kernel; then wait for ever. */
const x64Code = (actionAddress: number): Buffer =>
  Buffer.concat([
    Buffer.from([0xb8, 13, 0, 0, 0]), // mov eax, rt_sigaction
    Buffer.from([0xbf, 17, 0, 0, 0]), // mov edi, SIGCHLD
    Buffer.concat([Buffer.from([0xbe]), littleEndian(actionAddress)]), // mov esi, action
    Buffer.from([0x31, 0xd2]), // xor edx, edx
    Buffer.from([0x41, 0xba, 8, 0, 0, 0]), // mov r10d, 8
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0xb8, 34, 0, 0, 0]), // mov eax, pause
    Buffer.from([0x0f, 0x05]), // syscall
    Buffer.from([0xeb, 0xf7]), // jmp to mov eax, pause
  ]);

function littleEndian(...words: number[]): Buffer {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => bytes.writeUInt32LE(word >>> 0, index * 4));
  return bytes;
}

/** The same for arm64, which has no pause: ppoll without descriptors or timeout. */
function arm64Code(actionAddress: number): Buffer {
  const move = (register: number, value: number): number => 0xd2800000 + value * 32 + register;
  const moveHigh = (register: number, value: number): number => 0xf2a00000 + value * 32 + register;
  const call = 0xd4000001;
  const wait = [move(0, 0), move(1, 0), move(2, 0), move(3, 0), move(4, 0), move(8, 73), call];
  return littleEndian(
    move(0, 17),
    move(1, actionAddress % 0x10000),
    moveHigh(1, Math.floor(actionAddress / 0x10000)),
    move(2, 0),
    move(3, 8),
    move(8, 134),
    call,
    ...wait,
    0x14000000 + (0x4000000 - wait.length), // b back to the first of wait
  );
}

const targets = { amd64: { machine: 62, code: x64Code }, arm64: { machine: 183, code: arm64Code } };

/** A static ELF of some 200 bytes that reaps orphans and otherwise sleeps (elf(5)). */
export function pauseProgram(architecture: string): Buffer {
  const target = targets[architecture as keyof typeof targets];
  if (!target)
    throw new Error(`no pause program for the architecture ${architecture}: amd64 and arm64 have one`);
  const codeBytes = target.code(0).length;
  // struct sigaction of the kernel: handler SIG_IGN, flags SA_NOCLDWAIT, restorer, mask.
  const action = Buffer.alloc(32);
  action.writeBigUInt64LE(1n, 0);
  action.writeBigUInt64LE(2n, 8);
  const actionOffset = Math.ceil((headerBytes + codeBytes) / 8) * 8;
  const file = Buffer.alloc(actionOffset + action.length);
  file.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  file.writeUInt16LE(2, 16); // executable
  file.writeUInt16LE(target.machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(baseAddress + headerBytes), 24); // entry
  file.writeBigUInt64LE(64n, 32); // program header's offset
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56); // one program header
  file.writeUInt32LE(1, 64); // PT_LOAD
  file.writeUInt32LE(5, 68); // readable, executable
  file.writeBigUInt64LE(BigInt(baseAddress), 80);
  file.writeBigUInt64LE(BigInt(baseAddress), 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(0x1000n, 112);
  target.code(baseAddress + actionOffset).copy(file, headerBytes);
  action.copy(file, actionOffset);
  return file;
}

/** The pause image as an OCI archive. */
export function pauseArchive(architecture: string = imageArchitecture()): Buffer {
  const layer = tarBuffer([
    { path: 'pause', type: 'file', mode: 0o755, content: pauseProgram(architecture) },
  ]);
  const { entries } = imageArchive({
    reference: pauseImage,
    config: { entrypoint: ['/pause'], user: '65535:65535' },
    layers: [layerOf(layer)],
    architecture,
  });
  return tarBuffer(entries as Array<(typeof entries)[number] & { content?: Buffer }>);
}

/** Puts the pause image into the store unless it is there. */
export async function ensurePauseImage(options: { cri: CriRuntime; context: NodeContext }): Promise<void> {
  const { image } = await options.cri.imageStatus({ image: { image: pauseImage } });
  if (image) return;
  await importImage({ socketPath: options.cri.socketPath, archive: pauseArchive() });
}
