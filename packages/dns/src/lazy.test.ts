import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { promisify } from 'node:util';

/** Folders that a plain cluster's dns process has no use for. */
const rooms = ['external', 'dnssec', 'transfer', 'update', 'powerdns', 'values', 'authoritative', 'zone'];
/** What waits for the first configuration, and what waits for an engine to be asked for: small, and load the rest. */
const doors = ['external/await-configuration.ts', 'powerdns/engine-switch.ts'];

/** Modules of this package that are loaded by each of `steps`, one after the other in one process of its own. */
async function loadedBy(steps: readonly string[][]): Promise<string[][]> {
  const script = `
    const { registerHooks } = await import('node:module');
    let urls = [];
    registerHooks({ load(url, context, next) { urls.push(url); return next(url, context); } });
    const all = [];
    for (const step of ${JSON.stringify(steps)}) {
      for (const one of step) await import(one);
      all.push(urls);
      urls = [];
    }
    console.log(JSON.stringify(all));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script],
    { cwd: import.meta.dirname },
  );
  const own = (url: string): string[] => /\/packages\/dns\/src\/(.*)$/.exec(url)?.slice(1) ?? [];
  return (JSON.parse(stdout) as string[][]).map((urls) => urls.flatMap(own));
}

it('cluster DNS loads nothing of the authoritative DNS, and that neither the signer nor PowerDNS, before they are asked for', async () => {
  const [cluster, external] = (await loadedBy([
    ['@cloudless/dns', '@cloudless/dns/external/await-configuration'],
    ['@cloudless/dns/external/start'],
  ])) as [string[], string[]];
  const inRooms = (paths: readonly string[], names: readonly string[]): string[] =>
    paths.filter((path) => names.includes(path.split('/')[0] as string) && !doors.includes(path));
  assert.ok(cluster.includes('index.ts') && external.includes('external/content.ts'));
  assert.deepEqual(inRooms(cluster, rooms), []);
  assert.deepEqual(inRooms(external, ['dnssec', 'powerdns']), []);
});
