import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';

const run = (command: string, ...args: string[]): void => {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/** Makes an ext4 file system of its own in the file `image`. Needs root. */
export function makeFileSystem(image: string, megabytes: number): void {
  const fd = openSync(image, 'w', 0o600);
  ftruncateSync(fd, megabytes * 1024 * 1024);
  closeSync(fd);
  run('mkfs.ext4', '-q', '-F', '-m', '0', image);
}

/** Mounts it; disposing unmounts. */
export function mount(image: string, folder: string): Disposable {
  mkdirSync(folder, { recursive: true });
  run('mount', '-o', 'loop', image, folder);
  return { [Symbol.dispose]: () => run('umount', folder) };
}

/** Copies the image as the device holds it now: what power loss would leave. */
export function snapshot(image: string, copy: string): void {
  run('cp', '--sparse=always', image, copy);
}
