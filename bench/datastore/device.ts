// A block device of its own with a file system of its own: what reaches it is what wears a disk.
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const sectorBytes = 512;

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

export interface Device extends Disposable {
  readonly folder: string;
  /** Bytes written to the device so far, everything that waited in the kernel included. */
  bytesWritten(): number;
}

/**
 * Needs root.
 *
 * @param commitSeconds how often ext4 writes its own journal by itself; 5 is what every ext4 has
 */
export function makeDevice(megabytes: number, commitSeconds: number): Device {
  const place = mkdtempSync(join(tmpdir(), 'bench-device-'));
  const image = join(place, 'image');
  const folder = join(place, 'd');
  const fd = openSync(image, 'w', 0o600);
  ftruncateSync(fd, megabytes * 1024 * 1024);
  closeSync(fd);
  run('mkfs.ext4', '-q', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image);
  const device = run('losetup', '--find', '--show', image);
  mkdirSync(folder);
  run('mount', '-o', `commit=${commitSeconds}`, device, folder);
  run('chmod', '755', place);
  return {
    folder,
    bytesWritten() {
      run('sync', '-f', folder);
      const stat = readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
        .trim()
        .split(/\s+/);
      return Number(stat[6]) * sectorBytes;
    },
    [Symbol.dispose]() {
      run('umount', folder);
      run('losetup', '--detach', device);
      rmSync(place, { recursive: true });
    },
  };
}
