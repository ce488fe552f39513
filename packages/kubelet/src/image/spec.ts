import { parseDocument } from 'yaml';
import type { ImageConfig } from './oci.ts';
import { ImageError } from './import.ts';
import { fullReference } from './reference.ts';

/** A file to put into an image: text written out, or a file beside the specification. */
export interface ImageFile {
  source?: string | undefined;
  content?: string | undefined;
  mode: number;
  owner: string;
}

/**
 * What `cloudless image build` makes an image from: a YAML file, by custom `image.yaml`.
 *
 * | field | meaning |
 * |---|---|
 * | `name` | reference, `example.org/web:1`; without a tag `latest` |
 * | `packages` | Debian packages; dependencies come along, what only their installation scripts need does not |
 * | `without` | packages to leave out although another depends on them |
 * | `files` | path → text, or `{source or content, mode: "0644", owner: "uid:gid"}`; `source` is relative to the file |
 * | `directories` | path → `{mode: "0755", owner}`, or nothing |
 * | `links` | path → where the symbolic link points |
 * | `users` | name → `{uid, gid, home, shell}`: entries of /etc/passwd and /etc/group |
 * | `busybox` | true: links for every command of busybox (package busybox-static) that no package brings |
 * | `entrypoint`, `cmd` | lists of words |
 * | `env`, `labels` | name → text |
 * | `user`, `workdir`, `stopSignal` | text |
 * | `ports` | `80/tcp`, `53/udp` |
 */
export interface ImageSpec {
  reference: string;
  packages: string[];
  without: string[];
  files: Map<string, ImageFile>;
  directories: Map<string, { mode: number; owner: string }>;
  links: Map<string, string>;
  users: Map<string, { uid: number; gid: number; home: string; shell: string }>;
  busybox: boolean;
  config: ImageConfig;
}

/** Collects what is wrong, each with the path of the field, so that one run shows all. */
class Reader {
  readonly problems: string[] = [];

  wrong(path: string, message: string): void {
    this.problems.push(`${path}: ${message}`);
  }

  text(value: unknown, path: string): string {
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    this.wrong(path, 'must be text');
    return '';
  }

  optionalText(value: unknown, path: string): string | undefined {
    return value === undefined || value === null ? undefined : this.text(value, path);
  }

  list(value: unknown, path: string): string[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) {
      this.wrong(path, 'must be a list');
      return [];
    }
    return value.map((item, index) => this.text(item, `${path}[${index}]`));
  }

  map(value: unknown, path: string): Array<[string, unknown]> {
    if (value === undefined || value === null) return [];
    if (typeof value !== 'object' || Array.isArray(value)) {
      this.wrong(path, 'must be a mapping');
      return [];
    }
    return Object.entries(value);
  }

  texts(value: unknown, path: string): Record<string, string> {
    return Object.fromEntries(
      this.map(value, path).map(([key, item]) => [key, this.text(item, `${path}.${key}`)]),
    );
  }

  mode(value: unknown, path: string, otherwise: number): number {
    if (value === undefined) return otherwise;
    if (typeof value === 'string' && /^0?[0-7]{3,4}$/.test(value)) return parseInt(value, 8);
    this.wrong(path, 'must be octal digits in quotes, as in "0644"');
    return otherwise;
  }

  path(value: string, path: string): string {
    if (!value.startsWith('/') || value.split('/').includes('..') || value === '/') {
      this.wrong(path, `"${value}" must be an absolute path without ..`);
    }
    return value.replace(/\/+/g, '/').replace(/\/$/, '');
  }

  number(value: unknown, path: string): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
    this.wrong(path, 'must be a whole number');
    return 0;
  }

  known(
    entries: Array<[string, unknown]>,
    allowed: readonly string[],
    path: string,
  ): Record<string, unknown> {
    for (const [key] of entries) {
      if (!allowed.includes(key)) {
        this.wrong(path === '' ? key : `${path}.${key}`, `unknown field; there are ${allowed.join(', ')}`);
      }
    }
    return Object.fromEntries(entries);
  }
}

/** The fields of a specification. */
export const imageFields = [
  'name', 'packages', 'without', 'files', 'directories', 'links', 'users', 'busybox', 'entrypoint', 'cmd', 'env',
  'labels', 'user', 'workdir', 'stopSignal', 'ports',
]; // prettier-ignore

function readFile(reader: Reader, value: unknown, at: string): ImageFile {
  if (typeof value === 'string') return { content: value, mode: 0o644, owner: '0:0' };
  const item = reader.known(reader.map(value, at), ['source', 'content', 'mode', 'owner'], at);
  const file = {
    source: reader.optionalText(item['source'], `${at}.source`),
    content: reader.optionalText(item['content'], `${at}.content`),
    mode: reader.mode(item['mode'], `${at}.mode`, 0o644),
    owner: reader.optionalText(item['owner'], `${at}.owner`) ?? '0:0',
  };
  if ((file.source === undefined) === (file.content === undefined)) {
    reader.wrong(at, 'needs either source or content');
  }
  return file;
}

function readConfig(reader: Reader, item: Record<string, unknown>): ImageConfig {
  const words = (name: string): string[] | undefined =>
    item[name] === undefined ? undefined : reader.list(item[name], name);
  const ports = reader.list(item['ports'], 'ports').map((port, index) => {
    if (!/^\d{1,5}(\/(tcp|udp|sctp))?$/.test(port))
      reader.wrong(`ports[${index}]`, `"${port}" is not PORT/tcp or PORT/udp`);
    return port.includes('/') ? port : `${port}/tcp`;
  });
  return {
    entrypoint: words('entrypoint'),
    cmd: words('cmd'),
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ...reader.texts(item['env'], 'env'),
    },
    labels: reader.texts(item['labels'], 'labels'),
    user: reader.optionalText(item['user'], 'user'),
    workdir: reader.optionalText(item['workdir'], 'workdir'),
    stopSignal: reader.optionalText(item['stopSignal'], 'stopSignal'),
    ports,
  };
}

/** Reads a specification; throws one `ImageError` that lists everything wrong with it. `file` is for messages. */
export function parseImageSpec(text: string, file: string): ImageSpec {
  const document = parseDocument(text);
  if (document.errors.length > 0) throw new ImageError(`${file}: ${document.errors[0]?.message}`);
  const reader = new Reader();
  const item = reader.known(reader.map(document.toJS(), 'the file'), imageFields, '');
  const pathMap = <T>(name: string, read: (value: unknown, at: string) => T): Map<string, T> =>
    new Map(
      reader
        .map(item[name], name)
        .map(([path, value]) => [reader.path(path, name), read(value, `${name}["${path}"]`)]),
    );
  const spec: ImageSpec = {
    reference: reader.text(item['name'], 'name'),
    packages: reader.list(item['packages'], 'packages'),
    without: reader.list(item['without'], 'without'),
    files: pathMap('files', (value, at) => readFile(reader, value, at)),
    directories: pathMap('directories', (value, at) => {
      const folder = reader.known(reader.map(value, at), ['mode', 'owner'], at);
      return {
        mode: reader.mode(folder['mode'], `${at}.mode`, 0o755),
        owner: reader.optionalText(folder['owner'], `${at}.owner`) ?? '0:0',
      };
    }),
    links: pathMap('links', (value, at) => reader.text(value, at)),
    users: new Map(
      reader.map(item['users'], 'users').map(([name, value]) => {
        const at = `users.${name}`;
        const user = reader.known(reader.map(value, at), ['uid', 'gid', 'home', 'shell'], at);
        const uid = reader.number(user['uid'], `${at}.uid`);
        return [
          name,
          {
            uid,
            gid: user['gid'] === undefined ? uid : reader.number(user['gid'], `${at}.gid`),
            home: reader.optionalText(user['home'], `${at}.home`) ?? '/nonexistent',
            shell: reader.optionalText(user['shell'], `${at}.shell`) ?? '/usr/sbin/nologin',
          },
        ];
      }),
    ),
    busybox: item['busybox'] === true,
    config: readConfig(reader, item),
  };
  for (const [index, name] of spec.packages.entries()) {
    if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name))
      reader.wrong(`packages[${index}]`, `"${name}" is no name of a Debian package`);
  }
  if (reader.problems.length > 0) throw new ImageError(`${file}: ${reader.problems.join('; ')}`);
  return { ...spec, reference: fullReference(spec.reference) };
}
