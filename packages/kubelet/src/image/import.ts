import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { needProgram, searchPath } from '../containerd/machine.ts';

/** An image that could not be built, read or loaded; the message names the thing, the place and the remedy. */
export class ImageError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ImageError';
  }
}

/**
 * Loads an image archive (OCI layout or `docker save`) into the containerd at `socketPath`, where CRI finds it.
 * `archive` is the path of a file, or the archive itself. Returns the references it holds.
 */
export async function importImage(options: {
  socketPath: string;
  archive: string | Buffer;
  signal?: AbortSignal | undefined;
}): Promise<string[]> {
  const fromMemory = typeof options.archive !== 'string';
  const source = typeof options.archive === 'string' ? options.archive : '-';
  const child = spawn(
    needProgram('ctr'),
    ['--address', options.socketPath, '--namespace', 'k8s.io', 'images', 'import', '--digests=false', source],
    {
      stdio: [fromMemory ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: { PATH: searchPath() },
      signal: options.signal,
    },
  );
  let output = '';
  let problems = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (problems += text));
  // A child that ends early closes the pipe; its exit code tells why.
  child.stdin?.on('error', () => undefined);
  if (typeof options.archive !== 'string') child.stdin?.end(options.archive);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    const what = fromMemory ? 'an image' : source;
    throw new ImageError(
      `${what} cannot be loaded into the containerd at ${options.socketPath}: ${problems.trim().replace(/^ctr: /, '') || `ctr ended with ${code}`}`,
    );
  }
  return [...output.matchAll(/^unpacking (\S+)/gm)].map((match) => match[1] as string);
}
