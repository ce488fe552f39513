import {
  closeSync,
  existsSync,
  openSync,
  readSync,
  readdirSync,
  readFileSync,
  statSync,
  watch,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { nodeContext } from '@cloudless/kube/node/context';
import { UsageError } from '../options.ts';

/** Prints the end of a process's log; with `follow` goes on until interrupted. */
export async function logs(
  name: string | undefined,
  raw: { root: string; follow?: boolean; lines: string },
): Promise<void> {
  const folder = nodeContext({ root: resolve(raw.root), nodeName: 'any' }).paths.logs;
  const known = existsSync(folder)
    ? readdirSync(folder)
        .filter((file) => file.endsWith('.log'))
        .map((file) => file.slice(0, -'.log'.length))
    : [];
  if (known.length === 0)
    throw new UsageError(`no logs in ${folder}: nothing was started below --root ${raw.root}`);
  const chosen = name ?? 'control-plane';
  if (!known.includes(chosen)) throw new UsageError(`no log of '${chosen}': there are ${known.join(', ')}`);
  const count = Number(raw.lines);
  if (!Number.isInteger(count) || count < 0) throw new UsageError(`--lines ${raw.lines}: expected a number`);
  const path = join(folder, `${chosen}.log`);
  const text = readFileSync(path, 'utf8');
  process.stdout.write(
    text
      .split('\n')
      .slice(-count - 1)
      .join('\n'),
  );
  if (raw.follow) await follow(path, Buffer.byteLength(text));
}

function follow(path: string, from: number): Promise<void> {
  let offset = from;
  const file = openSync(path, 'r');
  const copy = (): void => {
    const size = statSync(path).size;
    if (size < offset) offset = 0;
    const chunk = Buffer.alloc(64 * 1024);
    for (let read = readSync(file, chunk, 0, chunk.length, offset); read > 0;) {
      process.stdout.write(chunk.subarray(0, read));
      offset += read;
      read = readSync(file, chunk, 0, chunk.length, offset);
    }
  };
  return new Promise((done) => {
    const watcher = watch(path, copy);
    process.once('SIGINT', () => {
      watcher.close();
      closeSync(file);
      done();
    });
  });
}
