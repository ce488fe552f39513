import { readFile } from 'node:fs/promises';
import koffi from 'koffi';

/** Mounting, the one thing about volumes that needs a privilege. */
export interface Mounts {
  tmpfs(path: string, options: { sizeBytes?: number | undefined }): Promise<void>;
  /** Binds `source` (a path that may go through `/proc/self/fd`) on `target`. */
  bind(source: string, target: string): Promise<void>;
  /** Detaches what is mounted at `path`; nothing mounted there is no error. */
  unmount(path: string): Promise<void>;
  /** Mount points below `folder`, deepest first. */
  listUnder(folder: string): Promise<string[]>;
  /** False where tmpfs volumes are plain folders. */
  readonly real: boolean;
}

/** A system call that failed, by name and errno. */
export class SystemCallError extends Error {
  readonly errno: number;

  constructor(call: string, path: string, errno: number) {
    const name = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
    super(`${call} ${path}: ${name}`);
    this.name = 'SystemCallError';
    this.errno = errno;
  }
}

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

interface LibC {
  mount(source: string, target: string, type: string | null, flags: number, data: string | null): number;
  umount2(target: string, flags: number): number;
}

let loaded: LibC | undefined;

function libc(): LibC {
  if (loaded) return loaded;
  const library = koffi.load('libc.so.6');
  loaded = {
    mount: library.func(
      'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
    ),
    umount2: library.func('int umount2(const char *target, int flags)'),
  };
  return loaded;
}

/** The kernel's mounts in this process's mount namespace. */
export const kernelMounts: Mounts = {
  real: true,
  async tmpfs(path, options) {
    if ((await mountPoints()).includes(path)) return;
    const data =
      options.sizeBytes === undefined ? 'mode=0777' : `mode=0777,size=${Math.floor(options.sizeBytes)}`;
    check('mount', path, libc().mount('tmpfs', path, 'tmpfs', MS_NOSUID | MS_NODEV, data));
  },
  async bind(source, target) {
    check('mount', target, libc().mount(source, target, null, MS_BIND, null));
  },
  async unmount(path) {
    // One path may carry several mounts; EINVAL says that none is left.
    for (;;) {
      if (libc().umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) === 0) continue;
      const errno = koffi.errno();
      if (errno === koffi.os.errno['EINVAL'] || errno === koffi.os.errno['ENOENT']) return;
      throw new SystemCallError('umount', path, errno);
    }
  },
  async listUnder(folder) {
    const below = (await mountPoints()).filter((point) => point.startsWith(`${folder}/`));
    return below.sort((a, b) => b.length - a.length);
  },
};

function check(call: string, path: string, result: number): void {
  if (result !== 0) throw new SystemCallError(call, path, koffi.errno());
}

/** Mount points of this process, from /proc: octal escapes undone. */
async function mountPoints(): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      line.split(' ')[4]!.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8))),
    );
}

/** Without the privilege to mount: memory volumes are folders, nothing is bound. For the simulated runtime and tests. */
export const noMounts: Mounts = {
  real: false,
  tmpfs: async () => {},
  bind: async () => {},
  unmount: async () => {},
  listUnder: async () => [],
};
