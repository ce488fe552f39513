// `npm run bench [-- NAME…]`: runs the benchmarks and prints a table each. Numbers are never asserted; record them in
// RESULTS.md with the date, the command and the machine's size.
import { spawnSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';

const all = [
  'start',
  'api',
  'kinds',
  'scale',
  'pods',
  'datastore',
  'loadbalancer',
  'failover',
  'arp',
  'network',
  'bgp',
  'dns',
];
const wanted = process.argv.slice(2).filter((name) => !name.startsWith('-'));
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}: there are ${all.join(', ')}`);
  process.exitCode = 2;
} else {
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}\n`,
  );
  for (const name of wanted.length > 0 ? wanted : all) {
    const { status } = spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, `${name}.ts`)],
      {
        stdio: 'inherit',
      },
    );
    if (status !== 0) process.exitCode = 1;
  }
}
