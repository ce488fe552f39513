// `node tests/upstream/kubectl-output.ts`: types the same into kubectl against upstream's kube-apiserver and against
// ours, and lists in what the printed answers differ. See KUBECTL.md beside this file.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { kubectls } from '../e2e/cluster.ts';
import { type Step, steps } from './kubectl-steps.ts';
import { normalText } from './normalize.ts';
import { startServers } from './servers.ts';

const stepTimeoutMs = 30_000;

/** What a terminal would show: standard output and error in the order they came, and how it ended. */
function run(program: string, kubeconfig: string, step: Step, home: string): Promise<string> {
  const args = ['-n', 't', ...step.line.split(' '), ...(step.verbatim ?? [])];
  const env = {
    ...process.env,
    ...step.env,
    KUBECONFIG: kubeconfig,
    HOME: home,
    KUBECACHEDIR: join(home, 'cache'),
  };
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let [printed, complained] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complained += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(step.input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), stepTimeoutMs);
  return new Promise((done) =>
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      done(`${printed}${complained}exit ${code ?? signal ?? ''}\n`);
    }),
  );
}

/** A text without what belongs to one server, one moment or one run of kubectl. */
function withoutChance(text: string): string {
  return normalText(text)
    .replace(/\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}/g, 'TIME')
    .replace(/\b(?:\d+[dhms])+\b/g, 'AGE')
    .replace(/(resourceVersion: |Resource Version: +)"?\d+"?/g, '$1N')
    .replace(/\b10\.96\.\d+\.\d+\b/g, 'CLUSTER-IP')
    .replace(/:3\d{4}\b/g, ':NODE-PORT')
    .replace(/(nodePort|healthCheckNodePort): \d+/gi, '$1: NODE-PORT')
    .replace(/\/tmp\/\S+/g, 'FILE')
    .replace(/^[EIW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\]/gm, 'LOG')
    .replace(/(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}/g, 'DATE')
    .replace(/[ \t]+/g, ' ')
    .replace(/^ ?-{3,}.*$/gm, '---');
}

interface Difference {
  kubectl: string;
  line: string;
  upstream: string;
  ours: string;
}

async function main(): Promise<void> {
  const kubeApiserver = process.env['KUBE_APISERVER'];
  if (!kubeApiserver)
    throw new Error(
      'KUBE_APISERVER must name a kube-apiserver program; tests/upstream/build-upstream.sh FOLDER builds one where Go is',
    );
  const picked = process.env['KUBECTLS']?.split(',');
  const own = process.env['KUBECTL'];
  const found = own
    ? [{ version: 'own', path: resolve(own) }]
    : kubectls().filter(({ version }, i, all) =>
        picked ? picked.includes(version) : i === 0 || i === all.length - 1,
      );
  if (found.length === 0) throw new Error('no kubectl was found; KUBECTL may name one');
  const differences: Difference[] = [];
  let typed = 0;
  for (const { version, path } of found) {
    // Servers of its own for each: steps begin with nothing there.
    const folder = mkdtempSync(join(tmpdir(), 'cloudless-kubectl-'));
    await using servers = await startServers({
      kubeApiserver: resolve(kubeApiserver),
      etcd: process.env['ETCD'] ?? 'etcd',
      folder,
      runtimeConfig: {},
    });
    const { kubeconfigs } = servers;
    console.log(`kubectl ${version}, upstream ${servers.upstreamVersion}, logs in ${folder}`);
    const homes = { upstream: join(folder, 'home-u'), ours: join(folder, 'home-o') };
    for (const home of Object.values(homes)) mkdirSync(home);
    for (const step of steps) {
      const [upstream, ours] = await Promise.all([
        run(path, kubeconfigs.upstream, step, homes.upstream),
        run(path, kubeconfigs.ours, step, homes.ours),
      ]);
      typed += 1;
      if (withoutChance(upstream) === withoutChance(ours)) continue;
      const line = [step.line, ...(step.verbatim ?? [])].join(' ');
      differences.push({ kubectl: version, line, upstream, ours });
      console.log(`\n=== ${version}: kubectl ${line}\n--- upstream\n${upstream}--- ours\n${ours}`);
    }
  }
  const out = process.env['OUT'];
  if (out) writeFileSync(join(out, 'kubectl-differences.json'), JSON.stringify(differences, undefined, 1));
  console.log(`\n${typed} commands typed into both, ${differences.length} answered differently`);
}

await main();
