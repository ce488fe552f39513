import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram, searchPath } from '../containerd/machine.ts';
import { ImageError } from './import.ts';

const run = promisify(execFile);

/** A package of Debian that an image takes in. */
export interface DebianPackage {
  name: string;
  version: string;
  /** File in the cache. */
  file: string;
}

/**
 * Needed by installation scripts only, which do not run here: not followed as dependencies. Named in `packages`
 * they are taken like any other.
 */
const installationOnly = new Set([
  'adduser', 'cdebconf', 'debconf', 'debconf-2.0', 'dpkg', 'init-system-helpers', 'login', 'lsb-base', 'passwd',
  'perl-base', 'sensible-utils', 'systemd', 'sysvinit-utils', 'tar', 'ucf', 'update-inetd',
]); // prettier-ignore

interface Record_ {
  name: string;
  version: string;
  depends: string[][];
  provides: string[];
}

/** What is going on, for whoever waits. */
export type Progress = (text: string) => void;

const namesOf = (field: string | undefined): string[][] =>
  (field ?? '')
    .split(',')
    .map((group) => group.split('|').map((name) => name.trim().replace(/[\s:(].*$/, '')))
    .filter((group) => group[0] !== '');

/** Reads the paragraphs of `apt-cache show`. */
function parseRecords(text: string): Record_[] {
  return text
    .split(/\n\n+/)
    .filter((paragraph) => paragraph.startsWith('Package:'))
    .map((paragraph) => {
      const unfolded = paragraph.replace(/\n[ \t]+/g, ' ');
      const field = (name: string): string | undefined =>
        new RegExp(`^${name}: (.*)$`, 'm').exec(unfolded)?.[1];
      return {
        name: field('Package') as string,
        version: field('Version') as string,
        depends: [...namesOf(field('Pre-Depends')), ...namesOf(field('Depends'))],
        provides: namesOf(field('Provides')).flat(),
      };
    });
}

/**
 * The packages reachable from `wanted` over dependencies among `records`, without what only installation needs
 * and without `without`; in order of name. Of alternatives the first that is there counts.
 */
export function dependencyClosure(
  wanted: readonly string[],
  records: ReadonlyArray<{ name: string; depends: string[][]; provides: string[] }>,
  without: readonly string[] = [],
): string[] {
  const byName = new Map(records.map((record) => [record.name, record]));
  for (const record of records) {
    for (const virtual of record.provides) if (!byName.has(virtual)) byName.set(virtual, record);
  }
  const left = new Set(without);
  const taken = new Set<string>();
  const visit = (name: string): void => {
    const record = byName.get(name);
    if (!record || taken.has(record.name)) return;
    taken.add(record.name);
    for (const group of record.depends) {
      if (group.some((each) => left.has(each) || installationOnly.has(each))) continue;
      const first = group.find((each) => byName.has(each));
      if (first !== undefined && !left.has(byName.get(first)?.name ?? '')) visit(first);
    }
  };
  for (const name of wanted) visit(name);
  return [...taken].sort();
}

/** Debian's packages with their dependencies, downloaded by apt into a cache; the machine's own stay untouched. */
export class DebianPackages {
  readonly #folder: string;
  readonly #progress: Progress;
  readonly #signal: AbortSignal | undefined;
  /** Package lists of our own, once the machine's were too old or missing. */
  #ownLists = false;

  constructor(options: { cacheFolder: string; progress: Progress; signal?: AbortSignal | undefined }) {
    this.#folder = options.cacheFolder;
    this.#progress = options.progress;
    this.#signal = options.signal;
    for (const program of ['apt-get', 'apt-cache', 'dpkg-deb', 'tar']) {
      if (!findProgram(program)) {
        throw new ImageError(
          `the program ${program} is not here: images with packages are built from Debian's packages, on Debian or Ubuntu; elsewhere use files only, or load an image built elsewhere (cloudless image load FILE)`,
        );
      }
    }
    mkdirSync(join(this.#folder, 'debs'), { recursive: true });
    mkdirSync(join(this.#folder, 'lists', 'partial'), { recursive: true });
    mkdirSync(join(this.#folder, 'archives', 'partial'), { recursive: true });
    writeFileSync(join(this.#folder, 'status'), '');
  }

  /** Resolves and downloads; names of packages that do not exist give an error. */
  async fetch(wanted: readonly string[], without: readonly string[]): Promise<DebianPackage[]> {
    if (wanted.length === 0) return [];
    try {
      return await this.#fetchOnce(wanted, without);
    } catch (error) {
      if (this.#ownLists || this.#signal?.aborted) throw error;
      this.#ownLists = true;
      this.#progress('reading the package lists');
      try {
        await this.#apt('apt-get', ['update', '--error-on=any']);
      } catch {
        throw error; // The first error says what is missing; without a mirror there is no more to learn.
      }
      return this.#fetchOnce(wanted, without);
    }
  }

  async #fetchOnce(wanted: readonly string[], without: readonly string[]): Promise<DebianPackage[]> {
    const plan = await this.#apt('apt-get', [
      '--print-uris', '--yes', '--no-install-recommends', 'install', ...wanted,
    ]); // prettier-ignore
    const files = new Map<string, string>();
    for (const match of plan.matchAll(/^'[^']+' (([^_\s]+)_(\S+)_\w+\.deb) \d+/gm)) {
      files.set(`${match[2]}=${decodeURIComponent(match[3] as string)}`, match[1] as string);
    }
    const records = parseRecords(await this.#apt('apt-cache', ['show', ...files.keys()]));
    const closure = new Set(dependencyClosure(wanted, records, without));
    const chosen = records
      .filter((record) => closure.has(record.name) && files.has(`${record.name}=${record.version}`))
      .map(({ name, version }) => ({
        name,
        version,
        file: join(this.#folder, 'debs', files.get(`${name}=${version}`) as string),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    await this.#download(chosen.filter((each) => !existsSync(each.file)));
    return chosen;
  }

  /** apt checks signatures and digests; a file appears in the cache only whole. */
  async #download(missing: readonly DebianPackage[]): Promise<void> {
    if (missing.length === 0) return;
    this.#progress(`downloading ${missing.length} packages: ${missing.map(({ name }) => name).join(' ')}`);
    const into = join(this.#folder, 'archives', `download-${process.pid}`);
    mkdirSync(into, { recursive: true });
    try {
      await this.#apt(
        'apt-get',
        ['download', ...missing.map(({ name, version }) => `${name}=${version}`)],
        into,
      );
      for (const { file } of missing) renameSync(join(into, file.slice(file.lastIndexOf('/') + 1)), file);
    } finally {
      rmSync(into, { recursive: true, force: true });
    }
  }

  async #apt(program: 'apt-get' | 'apt-cache', args: string[], cwd = this.#folder): Promise<string> {
    const settings = {
      'Dir::State::status': join(this.#folder, 'status'),
      'Dir::Cache': this.#folder,
      'Dir::Cache::archives': 'archives',
      'APT::Sandbox::User': 'root',
      'Debug::NoLocking': '1',
      ...(this.#ownLists ? { 'Dir::State::lists': join(this.#folder, 'lists') } : {}),
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    try {
      const { stdout } = await run(program, [...options, ...args], {
        cwd,
        env: { PATH: searchPath(), LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', ...proxies() },
        maxBuffer: 64 * 1024 * 1024,
        signal: this.#signal,
      });
      return stdout;
    } catch (error) {
      throw new ImageError(explain(program, args, error), error);
    }
  }
}

const proxies = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(https?|no|ftp)_proxy$/i.test(name)));

function explain(program: string, args: readonly string[], error: unknown): string {
  const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
  const unknown = /Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate/.exec(
    output,
  );
  if (unknown) {
    return `Debian's package lists on this machine have no package "${unknown[1] ?? unknown[2]}": correct its name under packages (apt-cache search WORD finds it), or refresh the lists with: apt-get update`;
  }
  const lines = output.split('\n').filter((line) => line.startsWith('E:'));
  return `${program} ${args[0] ?? ''} failed: ${(lines.length > 0 ? lines : [output.trim()]).join(' ')}; is Debian's mirror reachable (see /etc/apt/sources.list)?`;
}
