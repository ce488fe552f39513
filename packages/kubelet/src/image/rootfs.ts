import { spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, normalize, resolve } from 'node:path';
import { promisify } from 'node:util';
import { searchPath } from '../containerd/machine.ts';
import type { DebianPackage } from './debian.ts';
import { ImageError } from './import.ts';
import type { ImageSpec } from './spec.ts';

const run = promisify(execFile);

/** Documentation, translations and packaging data, which no container reads; licences stay. */
const stripped = [
  /^usr\/share\/(man|info|locale|lintian|bug|doc-base|menu|applications|pixmaps|bash-completion|zsh|fish)(\/|$)/,
  /^usr\/share\/doc\/[^/]+\/(?!copyright$)/,
  /^var\/(cache|lib)\/(apt|dpkg|debconf)(\/|$)/,
  /^etc\/(init\.d|logrotate\.d|cron\.[a-z]+|ufw|default)\//,
  /^(usr\/)?lib\/systemd(\/|$)/,
];

/** Whether a path (no leading slash) is left out of an image. */
export const isStripped = (path: string): boolean => stripped.some((pattern) => pattern.test(path));

/** Accounts that Debian numbers itself (base-passwd), those that daemons' packages expect to be there. */
const accounts: ReadonlyArray<[name: string, uid: number, gid: number, home: string]> = [
  ['root', 0, 0, '/root'],
  ['daemon', 1, 1, '/usr/sbin'],
  ['bin', 2, 2, '/bin'],
  ['sys', 3, 3, '/dev'],
  ['mail', 8, 8, '/var/mail'],
  ['proxy', 13, 13, '/bin'],
  ['www-data', 33, 33, '/var/www'],
  ['backup', 34, 34, '/var/backups'],
  ['nobody', 65534, 65534, '/nonexistent'],
];
const groups: ReadonlyArray<[name: string, gid: number]> = [
  ['root', 0],
  ['daemon', 1],
  ['bin', 2],
  ['sys', 3],
  ['adm', 4],
  ['tty', 5],
  ['mail', 8],
  ['proxy', 13],
  ['www-data', 33],
  ['backup', 34],
  ['shadow', 42],
  ['utmp', 43],
  ['staff', 50],
  ['users', 100],
  ['nogroup', 65534],
];

/** Debian's merged /usr. */
const merged = ['bin', 'sbin', 'lib', 'lib64'];

/**
 * Fills an empty folder with an image's root file system: the packages' files, accounts, and what the
 * specification adds. `specFolder` is where its `source` files are.
 */
export async function assembleRootfs(options: {
  folder: string;
  spec: ImageSpec;
  specFolder: string;
  packages: readonly DebianPackage[];
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { folder, spec } = options;
  chmodSync(folder, 0o755);
  if (options.packages.length > 0) {
    for (const name of merged) {
      mkdirSync(join(folder, 'usr', name), { recursive: true });
      symlinkSync(`usr/${name}`, join(folder, name));
    }
    for (const each of options.packages) await extract(each, folder, options.signal);
    if (readdirSync(join(folder, 'usr/lib64')).length === 0) {
      for (const path of ['lib64', 'usr/lib64']) rmSync(join(folder, path), { recursive: true });
    }
  }
  for (const name of ['tmp', 'var/tmp']) {
    mkdirSync(join(folder, name), { recursive: true });
    chmodSync(join(folder, name), 0o1777);
  }
  for (const name of ['dev', 'etc', 'proc', 'run', 'sys', 'root']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  writeAccounts(folder, spec);
  bundleCertificates(folder);
  if (spec.busybox) await linkBusybox(folder);
  addOwn(options);
}

async function extract(each: DebianPackage, folder: string, signal: AbortSignal | undefined): Promise<void> {
  const env = { PATH: searchPath(), LC_ALL: 'C' };
  const unpack = spawn('dpkg-deb', ['--fsys-tarfile', each.file], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  const write = spawn('tar', ['--extract', '--keep-directory-symlink', '--directory', folder], {
    env,
    stdio: ['pipe', 'ignore', 'pipe'],
    signal,
  });
  // tar ending early closes the pipe; its exit code tells why.
  write.stdin.on('error', () => undefined);
  unpack.stdout.pipe(write.stdin);
  let problems = '';
  for (const child of [unpack, write]) child.stderr?.on('data', (text: Buffer) => (problems += String(text)));
  const codes = await Promise.all(
    [unpack, write].map(async (child) => (await once(child, 'close'))[0] as number),
  );
  if (codes.some((code) => code !== 0)) {
    throw new ImageError(`${each.file} cannot be unpacked into ${folder}: ${problems.trim()}`);
  }
}

function writeAccounts(folder: string, spec: ImageSpec): void {
  const own = [...spec.users].map(
    ([name, user]) => `${name}:x:${user.uid}:${user.gid}:${name}:${user.home}:${user.shell}`,
  );
  const shell = (name: string): string => (name === 'root' ? '/bin/sh' : '/usr/sbin/nologin');
  const passwd = accounts.map(
    ([name, uid, gid, home]) => `${name}:x:${uid}:${gid}:${name}:${home}:${shell(name)}`,
  );
  const knownGroups = new Set(groups.map(([, gid]) => gid));
  const ownGroups = [...spec.users]
    .filter(([, user]) => !knownGroups.has(user.gid))
    .map(([name, user]) => `${name}:x:${user.gid}:`);
  const defaults: Array<[string, string]> = [
    ['etc/passwd', [...passwd, ...own].join('\n')],
    ['etc/group', [...groups.map(([name, gid]) => `${name}:x:${gid}:`), ...ownGroups].join('\n')],
    ['etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns'],
  ];
  for (const [path, text] of defaults) {
    if (!existsSync(join(folder, path))) writeFileSync(join(folder, path), `${text}\n`, { mode: 0o644 });
  }
}

/** What the installation of ca-certificates does: one file with every authority. */
function bundleCertificates(folder: string): void {
  const source = join(folder, 'usr/share/ca-certificates');
  if (!existsSync(source)) return;
  const files = (readdirSync(source, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.crt'))
    .sort();
  mkdirSync(join(folder, 'etc/ssl/certs'), { recursive: true });
  writeFileSync(
    join(folder, 'etc/ssl/certs/ca-certificates.crt'),
    files.map((name) => readFileSync(join(source, name), 'utf8')).join('\n'),
  );
}

async function linkBusybox(folder: string): Promise<void> {
  const program = inside(folder, '/bin/busybox');
  if (!existsSync(program)) {
    throw new ImageError(
      'busybox: true needs the package busybox-static (or a file /bin/busybox) in the image',
    );
  }
  const { stdout } = await run(program, ['--list-full']);
  for (const path of stdout.split('\n').filter(Boolean)) {
    const at = inside(folder, `/${path}`);
    if (present(at) || path.endsWith('/busybox')) continue;
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync('/bin/busybox', at);
  }
}

function present(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Where an image's path is on disk, following the image's own links of folders inside it. */
function inside(folder: string, path: string): string {
  let at = folder;
  const parts = normalize(path).split('/').filter(Boolean);
  const last = parts.pop();
  for (const part of parts) {
    at = join(at, part);
    for (let hops = 0; hops < 16; hops += 1) {
      const stat = lstatSync(at, { throwIfNoEntry: false });
      if (!stat?.isSymbolicLink()) break;
      const target = readlinkSync(at);
      const next = target.startsWith('/') ? join(folder, target) : resolve(dirname(at), target);
      at = next.startsWith(`${folder}/`) ? next : folder;
    }
  }
  return last === undefined ? at : join(at, last);
}

function addOwn(options: { folder: string; spec: ImageSpec; specFolder: string }): void {
  const { folder, spec } = options;
  for (const [path, { mode, owner }] of spec.directories) {
    const at = inside(folder, path);
    mkdirSync(at, { recursive: true });
    chmodSync(at, mode);
    own(folder, at, owner, `directories["${path}"]`);
  }
  for (const [path, file] of spec.files) {
    const at = inside(folder, path);
    mkdirSync(dirname(at), { recursive: true });
    rmSync(at, { force: true });
    if (file.source !== undefined) {
      const source = resolve(options.specFolder, file.source);
      try {
        copyFileSync(source, at);
      } catch (error) {
        throw new ImageError(`files["${path}"].source: ${source} cannot be read: ${String(error)}`, error);
      }
    } else writeFileSync(at, file.content ?? '');
    own(folder, at, file.owner, `files["${path}"]`);
    chmodSync(at, file.mode);
  }
  for (const [path, target] of spec.links) {
    const at = inside(folder, path);
    mkdirSync(dirname(at), { recursive: true });
    rmSync(at, { force: true });
    symlinkSync(target, at);
  }
}

/** `uid:gid`, by number or by name in the image's own passwd and group. */
function own(folder: string, at: string, owner: string, field: string): void {
  const [user = '', group = user] = owner.split(':');
  const number = (text: string, file: string, column: number): number => {
    if (/^\d+$/.test(text)) return Number(text);
    const line = readFileSync(join(folder, file), 'utf8')
      .split('\n')
      .find((each) => each.startsWith(`${text}:`));
    if (!line)
      throw new ImageError(
        `${field}.owner: the image has no ${file === 'etc/passwd' ? 'user' : 'group'} "${text}"`,
      );
    return Number(line.split(':')[column]);
  };
  const uid = number(user, 'etc/passwd', 2);
  const gid = number(group, 'etc/group', 2);
  if (process.geteuid?.() === 0) lchownSync(at, uid, gid);
}

/** Throws unless the first word of the entry point is a program in the image. */
export function checkEntrypoint(folder: string, spec: ImageSpec): void {
  const program = (spec.config.entrypoint ?? spec.config.cmd ?? [])[0];
  if (program === undefined) return;
  const candidates = program.includes('/')
    ? [program]
    : (spec.config.env?.['PATH'] ?? '').split(':').map((path) => `${path}/${program}`);
  if (candidates.some((path) => present(inside(folder, path)))) return;
  throw new ImageError(
    `${spec.config.entrypoint ? 'entrypoint' : 'cmd'}[0]: the image has no ${program}; name the package or file that brings it`,
  );
}
