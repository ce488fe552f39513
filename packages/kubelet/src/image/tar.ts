import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';

/** One member of an archive. `path` has no leading slash. */
export interface TarEntry {
  path: string;
  type: 'file' | 'directory' | 'symlink' | 'hardlink';
  mode: number;
  uid?: number;
  gid?: number;
  /** Of a link: where it points. */
  target?: string;
  /** Of a file. */
  content?: Buffer | { file: string; sizeBytes: number };
}

const blockBytes = 512;
const typeFlags = { file: '0', hardlink: '1', symlink: '2', directory: '5' };

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}

/** One ustar header (POSIX.1-1988); the name fits 100 bytes, longer ones are in a pax record before it. */
function header(
  name: string,
  flag: string,
  entry: { mode: number; uid: number; gid: number; size: number; target: string },
): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100, 'utf8');
  block.write(octal(entry.mode, 8), 100);
  block.write(octal(entry.uid, 8), 108);
  block.write(octal(entry.gid, 8), 116);
  block.write(octal(entry.size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write('        ', 148);
  block.write(flag, 156);
  block.write(entry.target, 157, 100, 'utf8');
  block.write('ustar\x0000', 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** A pax record counts its own length. */
function paxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(body);
  while (length !== Buffer.byteLength(body) + String(length).length) {
    length = Buffer.byteLength(body) + String(length).length;
  }
  return `${length}${body}`;
}

const padding = (size: number): Buffer => Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
const sizeOf = (entry: TarEntry): number =>
  entry.content === undefined
    ? 0
    : Buffer.isBuffer(entry.content)
      ? entry.content.length
      : entry.content.sizeBytes;

/** The header blocks of one entry. Times are zero, so that equal trees give equal archives. */
export function entryHeader(entry: TarEntry): Buffer {
  const name = entry.type === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path;
  const target = entry.target ?? '';
  const plain = {
    mode: entry.mode & 0o7777,
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    size: sizeOf(entry),
    target,
  };
  let pax = '';
  if (Buffer.byteLength(name) > 100) pax += paxRecord('path', name);
  if (Buffer.byteLength(target) > 100) pax += paxRecord('linkpath', target);
  const main = header(name, typeFlags[entry.type], plain);
  if (pax === '') return main;
  const body = Buffer.from(pax);
  const before = header('PaxHeader', 'x', { mode: 0o644, uid: 0, gid: 0, size: body.length, target: '' });
  return Buffer.concat([before, body, padding(body.length), main]);
}

/** The archive's bytes, in order, ending with two empty blocks. */
export async function* tarChunks(entries: Iterable<TarEntry>): AsyncGenerator<Buffer, void, undefined> {
  for (const entry of entries) {
    yield entryHeader(entry);
    if (entry.content === undefined) continue;
    if (Buffer.isBuffer(entry.content)) yield entry.content;
    else if (entry.content.sizeBytes > 0)
      yield* createReadStream(entry.content.file) as AsyncIterable<Buffer>;
    yield padding(sizeOf(entry));
  }
  yield Buffer.alloc(2 * blockBytes);
}

/** A small archive in memory. */
export function tarBuffer(entries: Iterable<TarEntry & { content?: Buffer }>): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    parts.push(entryHeader(entry));
    if (entry.content) parts.push(entry.content, padding(entry.content.length));
  }
  parts.push(Buffer.alloc(2 * blockBytes));
  return Buffer.concat(parts);
}

/** Writes an archive to a file; returns its size and digest. */
export async function writeTar(
  file: string,
  entries: Iterable<TarEntry>,
): Promise<{ digest: string; sizeBytes: number }> {
  const hash = createHash('sha256');
  const out = createWriteStream(file, { mode: 0o644 });
  let sizeBytes = 0;
  for await (const chunk of tarChunks(entries)) {
    hash.update(chunk);
    sizeBytes += chunk.length;
    if (!out.write(chunk)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'close');
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
}

/** Everything under `folder`, sorted by name, owners and modes as on disk; equal inodes become hard links. */
export function* treeEntries(
  folder: string,
  skip: (path: string) => boolean = () => false,
): Generator<TarEntry> {
  const seen = new Map<string, string>();
  function* walk(prefix: string): Generator<TarEntry> {
    for (const name of readdirSync(join(folder, prefix)).sort()) {
      const path = prefix === '' ? name : `${prefix}/${name}`;
      if (skip(path)) continue;
      const full = join(folder, path);
      const stat = lstatSync(full);
      const common = { path, mode: stat.mode, uid: stat.uid, gid: stat.gid };
      if (stat.isDirectory()) {
        yield { ...common, type: 'directory' };
        yield* walk(path);
      } else if (stat.isSymbolicLink()) {
        yield { ...common, type: 'symlink', target: readlinkSync(full) };
      } else if (stat.isFile()) {
        const inode = `${stat.dev}:${stat.ino}`;
        const first = stat.nlink > 1 ? seen.get(inode) : undefined;
        if (first !== undefined) yield { ...common, type: 'hardlink', target: first };
        else {
          seen.set(inode, path);
          yield { ...common, type: 'file', content: { file: full, sizeBytes: stat.size } };
        }
      }
    }
  }
  yield* walk('');
}
