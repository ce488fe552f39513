import { statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Whether every user may read what is directly in `folder`, as far as the folders on the way decide it. */
export function isOpenToAll(folder: string): boolean {
  if ((statSync(folder).mode & 0o5) !== 0o5) return false;
  for (let above = dirname(folder); ; above = dirname(above)) {
    if ((statSync(above).mode & 0o1) === 0) return false;
    if (above === dirname(above)) return true;
  }
}

/**
 * What to put in front of the command line of a process that gives root away and loads parts of its program afterwards:
 * `[...openProgramPrefix(program), node, 'a/path/within/the/program.ts', …]`. A checkout below `/root` is closed to
 * everybody else; in a mount namespace of its own the process finds it at `/mnt`. Empty where the program is open.
 *
 * Its working folder is the program's, so that relative paths of programs count from there. Where mounting is forbidden
 * the process starts all the same, from the closed folder.
 */
export function openProgramPrefix(program: string): string[] {
  if (process.getuid?.() !== 0 || isOpenToAll(program)) return [];
  const script = 'if mount --bind "$0" /mnt; then cd /mnt; else cd "$0"; fi; exec "$@"';
  return ['unshare', '--mount', '--propagation', 'slave', '--', 'sh', '-c', script, program];
}
