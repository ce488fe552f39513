import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { dependencyClosure } from './debian.ts';
import { pauseProgram } from './pause.ts';
import { fullReference } from './reference.ts';
import { isStripped } from './rootfs.ts';
import { imageFields, parseImageSpec } from './spec.ts';

describe('image.yaml', () => {
  it('is read with defaults', () => {
    const spec = parseImageSpec(
      'name: example.org/web:1\npackages: [nginx-light]\nfiles: {/a: text}\nports: [80, 53/udp]\nusers: {web: {uid: 7}}\n',
      'image.yaml',
    );
    assert.equal(spec.reference, 'example.org/web:1');
    assert.deepEqual(spec.files.get('/a'), { content: 'text', mode: 0o644, owner: '0:0' });
    assert.deepEqual(spec.config.ports, ['80/tcp', '53/udp']);
    assert.equal(spec.users.get('web')?.gid, 7);
    assert.equal(spec.config.entrypoint, undefined);
  });

  it('everything wrong is told at once, with its place', () => {
    const text =
      'name: Web\npackage: [x]\nfiles: {a: text, /b: {mode: 644}}\nports: [http]\npackages: ["no name"]\n';
    assert.throws(
      () => parseImageSpec(text, 'image.yaml'),
      (error: Error) =>
        error.message.startsWith('image.yaml: package: unknown field; there are name, packages') &&
        /files: "a" must be an absolute path/.test(error.message) &&
        /files\["\/b"\]\.mode: must be octal digits in quotes/.test(error.message) &&
        /files\["\/b"\]: needs either source or content/.test(error.message) &&
        /ports\[0\]: "http" is not PORT\/tcp/.test(error.message) &&
        /packages\[0\]: "no name" is no name/.test(error.message),
    );
    assert.throws(() => parseImageSpec('name: [', 'image.yaml'), /^ImageError: image\.yaml: /);
    assert.throws(() => parseImageSpec('name: Web', 'image.yaml'), /lower-case/);
  });

  it('every field is in the guide, and no other', () => {
    const guide = readFileSync(new URL('../../../../docs/images.md', import.meta.url), 'utf8');
    const table = guide.split('\n').flatMap((line) => /^\| (`.*?) \|/.exec(line)?.[1]?.match(/\w+/g) ?? []);
    assert.deepEqual(table.toSorted(), imageFields.toSorted());
  });

  it('names become what the runtime looks up', () => {
    assert.equal(fullReference('web'), 'docker.io/library/web:latest');
    assert.equal(fullReference('team/web:2'), 'docker.io/team/web:2');
    assert.equal(fullReference('localhost:5000/web'), 'localhost:5000/web:latest');
    assert.throws(() => fullReference('web@sha256:00'), /digest/);
    assert.throws(() => fullReference('web:bad tag'), /tag/);
  });
});

describe('packages of an image', () => {
  const record = (name: string, depends: string[][], provides: string[] = []) => ({
    name,
    depends,
    provides,
  });

  it('are those reached without what only installation needs', () => {
    const records = [
      record('nginx', [['libc6'], ['nginx-common'], ['httpd-cgi', 'fallback']]),
      record('nginx-common', [['debconf', 'debconf-2.0']]),
      record('debconf', [['perl-base']]),
      record('perl-base', []),
      record('libc6', [['libgcc-s1']]),
      record('libgcc-s1', [['libc6']]),
      record('real', [], ['httpd-cgi']),
    ];
    assert.deepEqual(dependencyClosure(['nginx'], records), [
      'libc6',
      'libgcc-s1',
      'nginx',
      'nginx-common',
      'real',
    ]);
    assert.deepEqual(dependencyClosure(['nginx', 'debconf'], records, ['libc6']), [
      'debconf',
      'nginx',
      'nginx-common',
      'real',
    ]);
  });

  it('leave documentation behind and licences in', () => {
    assert.equal(isStripped('usr/share/doc/nginx/README'), true);
    assert.equal(isStripped('usr/share/doc/nginx/copyright'), false);
    assert.equal(isStripped('usr/share/man'), true);
    assert.equal(isStripped('etc/nginx/nginx.conf'), false);
  });
});

describe('the pause program', () => {
  it('is a small static ELF for both architectures', () => {
    for (const [architecture, machine] of [
      ['amd64', 62],
      ['arm64', 183],
    ] as const) {
      const program = pauseProgram(architecture);
      assert.ok(program.length < 300);
      assert.equal(program.readUInt32BE(0), 0x7f454c46);
      assert.equal(program.readUInt16LE(18), machine);
      // The segment covers the file, and the entry point is right after the headers.
      assert.equal(program.readBigUInt64LE(96), BigInt(program.length));
      assert.equal(program.readBigUInt64LE(24), 0x400000n + 120n);
    }
    assert.throws(() => pauseProgram('mips'), /no pause program for the architecture mips/);
  });

  it('arm64 code is what an assembler makes', () => {
    // mov x0,17; mov x1,#lo; movk x1,#0x40,lsl 16; mov x2,0; mov x3,8; mov x8,134; svc 0; then ppoll in a loop.
    const words = Array.from({ length: 15 }, (_, index) =>
      pauseProgram('arm64').readUInt32LE(120 + index * 4),
    );
    assert.equal(words[0], 0xd2800220);
    assert.equal(words[2], 0xf2a00801);
    assert.equal(words[5], 0xd28010c8);
    assert.equal(words[6], 0xd4000001);
    assert.equal(words[12], 0xd2800928);
    assert.equal(words[14], 0x17fffff9);
  });
});
