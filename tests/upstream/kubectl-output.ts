// `node tests/upstream/kubectl-output.ts`: types the same into every kubectl against upstream's kube-apiserver and
// against ours, and lists in what the printed answers differ. See KUBECTL.md beside this file.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { kubectls } from '../e2e/cluster.ts';
import { minorOf } from '../e2e/session/session.ts';
import { kubectlDocument, type PrintedDifference, reasonOf } from './kubectl-report.ts';
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

/** With the entries of managedFields by their text: their order depends on times. */
function withSortedEntries(text: string): string {
  return text.replace(/(?<=^ *managedFields:\n)(?: *- apiVersion:.*\n(?: +(?!- ).*\n)*)+/gm, (entries) => {
    const [indent = ''] = /^ */.exec(entries) ?? [];
    const each = entries.split(new RegExp(`^(?=${indent}- )`, 'm'));
    // The times go first: they would decide the order.
    return each
      .map((entry) => entry.replace(/time: .*/, 'time: TIME'))
      .sort()
      .join('');
  });
}

/** A text without what belongs to one server, one moment or one run of kubectl. */
function withoutChance(text: string): string {
  return normalText(withSortedEntries(text))
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

/** Types every step into both; what differs, in the order of the steps. */
async function typeIntoBoth(
  kubectl: { version: string; path: string },
  options: { kubeApiserver: string; etcd: string },
): Promise<{ differences: PrintedDifference[]; upstreamVersion: string }> {
  const { version, path } = kubectl;
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-kubectl-'));
  // Servers of its own for each: steps begin with nothing there.
  await using servers = await startServers({ ...options, folder, runtimeConfig: {} });
  const { kubeconfigs, upstreamVersion } = servers;
  console.log(`kubectl ${version}, upstream ${upstreamVersion}, logs in ${folder}`);
  const homes = { upstream: join(folder, 'home-u'), ours: join(folder, 'home-o') };
  for (const home of Object.values(homes)) mkdirSync(home);
  const differences: PrintedDifference[] = [];
  for (const step of steps) {
    const [upstream, ours] = await Promise.all([
      run(path, kubeconfigs.upstream, step, homes.upstream),
      run(path, kubeconfigs.ours, step, homes.ours),
    ]);
    const printed = { upstream: withoutChance(upstream), ours: withoutChance(ours) };
    if (printed.upstream === printed.ours) continue;
    const line = [step.line, ...(step.verbatim ?? [])].join(' ');
    differences.push({ kubectl: version, line, ...printed });
    if (reasonOf({ kubectl: version, line, ...printed })) continue;
    console.log(`\n=== ${version}: kubectl ${line}\n--- upstream\n${upstream}--- ours\n${ours}`);
  }
  return { differences, upstreamVersion };
}

async function main(): Promise<void> {
  const kubeApiserver = process.env['KUBE_APISERVER'];
  if (!kubeApiserver)
    throw new Error(
      'KUBE_APISERVER must name a kube-apiserver program; tests/upstream/build-upstream.sh FOLDER builds one where Go is',
    );
  const picked = process.env['KUBECTLS']?.split(',');
  const found = kubectls()
    .filter(({ version }) => picked?.includes(version) ?? true)
    .toSorted((a, b) => minorOf(a.version) - minorOf(b.version));
  if (found.length === 0) throw new Error('no kubectl was found; KUBECTL may name one');
  const options = { kubeApiserver: resolve(kubeApiserver), etcd: process.env['ETCD'] ?? 'etcd' };
  const differences: PrintedDifference[] = [];
  let upstreamVersion = '';
  for (const kubectl of found) {
    const typed = await typeIntoBoth(kubectl, options);
    differences.push(...typed.differences);
    upstreamVersion = typed.upstreamVersion;
  }
  const out = process.env['OUT'];
  if (out) writeFileSync(join(out, 'kubectl-differences.json'), JSON.stringify(differences, undefined, 1));
  const results = process.env['RESULTS'];
  if (results) {
    const versions = found.map(({ version }) => version);
    writeFileSync(results, kubectlDocument({ upstreamVersion, versions, typed: steps.length, differences }));
  }
  const open = differences.filter((difference) => !reasonOf(difference)).length;
  console.log(
    `\n${steps.length} commands typed into both by each of ${found.length} kubectls: ` +
      `${differences.length} answers differ, ${open} of them without a reason`,
  );
}

await main();
