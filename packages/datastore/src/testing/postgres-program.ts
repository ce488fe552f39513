import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  globSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Overflow identity of every Linux; owns nothing. */
const nobody = 65534;

/** Whom PostgreSQL runs as: it refuses root. */
const identity: { uid: number; gid: number } | undefined =
  process.getuid?.() === 0 ? (unprivileged() ?? { uid: nobody, gid: nobody }) : undefined;

function unprivileged(): { uid: number; gid: number } | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

let found: string | undefined;

/** The folder of PostgreSQL's programs: the newest of Debian's, or where `postgres` on PATH really is. */
export function binaries(): string {
  return (found ??= findBinaries());
}

function findBinaries(): string {
  const version = (path: string): number => Number(/postgresql\/(\d+)\//.exec(path)?.[1] ?? 0);
  const debian = globSync('/usr/lib/postgresql/*/bin/postgres').sort((a, b) => version(b) - version(a));
  const onPath = (process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'postgres'));
  for (const path of [...debian, ...onPath]) {
    if (!existsSync(path)) continue;
    const folder = dirname(realpathSync(path));
    if (existsSync(join(folder, 'initdb'))) return folder;
  }
  throw new Error('PostgreSQL is missing (/usr/lib/postgresql/*/bin): apt-get install postgresql');
}

/** Runs one of PostgreSQL's tools to its end. */
export async function tool(name: string, args: string[], environment: NodeJS.ProcessEnv = {}): Promise<void> {
  await run(join(binaries(), name), args, {
    ...identity,
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C', ...environment },
  });
}

/**
 * As {@link tool}, for one that looks its user up, on a machine where `/etc/passwd` is for root's eyes alone: the tool
 * sees another, in a mount namespace of its own.
 */
async function toolThatKnowsItself(name: string, args: string[], scratch: string): Promise<void> {
  if (identity === undefined || (statSync('/etc/passwd').mode & 0o004) !== 0) return tool(name, args);
  const { uid, gid } = identity;
  const users = join(scratch, 'users');
  writeFileSync(users, `postgres:x:${uid}:${gid}::/:/bin/sh\n`, { mode: 0o644 });
  const script = 'mount --bind "$0" /etc/passwd && exec "$@"';
  const asUser = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', join(binaries(), name)];
  await run('unshare', ['--mount', '--propagation=private', 'sh', '-c', script, users, ...asUser, ...args], {
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  });
  rmSync(users);
}

/** Starts the server; the kernel ends it when this process ends, however it ends. */
export function spawnServer(args: string[]): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', join(binaries(), 'postgres'), ...args], {
    ...identity,
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** A folder in `parent`, the temporary one if absent, that PostgreSQL may use. */
export function makeFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'postgres-'));
  own(folder);
  return folder;
}

function own(path: string): void {
  if (identity !== undefined) chownSync(path, identity.uid, identity.gid);
}

/** A new file for PostgreSQL alone. */
export function writePrivately(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
  own(path);
}

export const superuser = 'postgres';

/** Copies the machine's initialised empty cluster to `data`; its superuser's password. */
export async function copyTemplate(data: string): Promise<string> {
  const template = await theTemplate();
  // `cp` keeps the owner and copies in the kernel.
  await run('cp', ['-a', '--reflink=auto', join(template, 'data'), data]);
  return readFileSync(join(template, 'password'), 'utf8');
}

/** One initdb for all tests of this machine, version and user: it takes most of a second. */
async function theTemplate(): Promise<string> {
  const version = binaries().replaceAll(/[^0-9a-z]+/gi, '-');
  const uid = identity?.uid ?? process.getuid?.() ?? 0;
  const template = join(tmpdir(), `cloudless-postgres-template-${uid}${version}`);
  if (existsSync(template)) {
    // The folder for temporary files belongs to everyone: take nothing that others put there.
    const { uid: owner } = lstatSync(template);
    if (owner !== uid) throw new Error(`${template} belongs to user ${owner}, not ${uid}: remove it`);
    return template;
  }
  const fresh = makeFolder();
  try {
    const password = randomBytes(12).toString('hex');
    const passwordFile = join(fresh, 'password');
    writePrivately(passwordFile, password);
    const args = [
      '-D',
      join(fresh, 'data'),
      '-U',
      superuser,
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--wal-segsize=4',
      '--no-sync',
    ];
    await toolThatKnowsItself('initdb', args, fresh);
    renameSync(fresh, template);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another test was first.
    if (!existsSync(template)) throw error;
  }
  return template;
}
