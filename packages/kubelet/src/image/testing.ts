import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { nodeContext } from '@cloudless/kube/node/context';
import { buildImage } from './build.ts';

/** The image that tests run: every command of busybox. */
export const testImage = 'cloudless.dev/test:1';

/** Path of the test image's archive; built once per machine and user, from Debian's package busybox-static. */
export async function testImageArchive(): Promise<string> {
  const folder = join(tmpdir(), `cloudless-test-images-${userInfo().uid}`);
  const archive = join(folder, 'test-1.tar');
  if (existsSync(archive)) return archive;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const root = mkdtempSync(join(folder, 'build-'));
  try {
    const specPath = join(root, 'image.yaml');
    writeFileSync(
      specPath,
      `name: ${testImage}\npackages: [busybox-static]\nbusybox: true\nusers: {web: {uid: 1000}}\ncmd: [sleep, "1000000"]\n`,
    );
    const built = await buildImage({ context: nodeContext({ root, nodeName: 'test' }), specPath });
    renameSync(built.archivePath, archive);
    return archive;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
