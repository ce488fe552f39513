/**
 * Runs those of upstream's api-machinery tests that need an API server, controllers and a ready node, but no real
 * containers, against a cluster with simulated pods. Opt-in, as root; prints a table and exits 1 on a failure:
 *
 *   E2E_TEST=/path/e2e.test node tests/upstream/e2e.ts [FOCUS]
 *
 * RESULTS names a file, such as tests/upstream/RESULTS.md, whose part on these tests is written anew.
 * KUBE_CONTROLLER_MANAGER names upstream's, to run in place of our controllers: some of the tests need controllers
 * (ReplicationController, CronJob, StatefulSet) that ours do not have. FOCUS is a regular expression in place of all of `[sig-api-machinery]`.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, TestCluster } from '../e2e/cluster.ts';
import { type SpecReport, writeSection } from './e2e-section.ts';
import { UpstreamPrograms } from './programs.ts';

const program = process.env['E2E_TEST'] ?? 'e2e.test';

/** Tests that do not apply, with the reason. */
const excluded: ReadonlyArray<readonly [pattern: string, reason: string]> = [
  ['AdmissionWebhook', 'its webhook server is a pod of the agnhost image'],
  ['CustomResourceFieldSelectors', 'its conversion webhook is a pod of the agnhost image'],
  ['CustomResourceConversionWebhook', 'its webhook server is a pod of the agnhost image'],
  ['Flaky', 'upstream itself leaves those out'],
  ['Aggregated APIServer', 'its aggregated API server is a pod of the sample-apiserver image'],
  ['Aggregator', 'its aggregated API server is a pod of the sample-apiserver image'],
  ['Etcd failure', 'stops etcd over SSH'],
  ['CoordinatedLeaderElection', 'an API that is off by default'],
  ['Feature:CBOR', 'an encoding that is off by default'],
  ['Feature:StorageVersionAPI', 'an API that is off by default'],
  ['Feature:APIServerIdentity', 'restarts the API server over SSH'],
];

/** Tests that apply and fail, with the reason. */
const failing: ReadonlyArray<readonly [pattern: string, reason: string]> = [
  [
    'should contain necessary checks',
    'wants health checks named after upstream’s internal controllers (autoregister, apiservice-…), which do not exist here',
  ],
];

isolate();
addUplink();
const controllerManager = process.env['KUBE_CONTROLLER_MANAGER'];
const cluster = new TestCluster();
const programs = new UpstreamPrograms(cluster);
const report = join(cluster.root, 'e2e.json');

/** Runs the test program to its end; its output goes to a file. */
async function run(focus: string): Promise<void> {
  const child = spawn(
    program,
    [
      '--provider=skeleton',
      `--kubeconfig=${join(cluster.root, 'etc/kubernetes/super-admin.conf')}`,
      `--ginkgo.focus=${focus}`,
      `--ginkgo.skip=${excluded.map(([pattern]) => pattern).join('|')}`,
      `--ginkgo.json-report=${report}`,
      '--ginkgo.v',
      '--ginkgo.no-color',
      '--ginkgo.timeout=100m',
      '--allowed-not-ready-nodes=0',
      '--prepull-images=false',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const log = createWriteStream(process.env['E2E_LOG'] ?? '/dev/null');
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
}

try {
  const disabled = controllerManager === undefined ? 'network,dns' : 'network,dns,controllers';
  await cluster.up('--runtime=simulated', `--disable=${disabled}`, '--etcd-compaction-interval=30s');
  if (controllerManager !== undefined) programs.startControllerManager(controllerManager);
  await run(process.argv[2] ?? '\\[sig-api-machinery\\]');
  const [suite] = JSON.parse(readFileSync(report, 'utf8')) as Array<{ SpecReports: SpecReport[] }>;
  const specs = (suite?.SpecReports ?? []).filter(
    ({ LeafNodeType, State }) => LeafNodeType === 'It' && State !== 'skipped',
  );
  const results = process.env['RESULTS'];
  if (results) writeSection(results, specs, { excluded, failing });
  const failed = specs.filter(({ State }) => State !== 'passed');
  for (const { ContainerHierarchyTexts, LeafNodeText, RunTime, Failure } of failed) {
    const seconds = (RunTime / 1e9).toFixed(0);
    const why = (Failure?.Message ?? '').replaceAll(/\s+/g, ' ').slice(0, 400);
    process.stdout.write(
      `FAILED ${ContainerHierarchyTexts?.join(' ') ?? ''} ${LeafNodeText} (${seconds} s)\n  ${why}\n`,
    );
  }
  process.stdout.write(
    `${specs.length - failed.length} passed, ${failed.length} failed of ${specs.length}\n`,
  );
  process.exitCode = failed.length > 0 ? 1 : 0;
} finally {
  await programs.stop();
  await cluster.remove();
}
