// `npm test [-- PATH…] [--name PATTERN]`: finds and runs the tests on node:test. Those that need the machine
// (`*.system.test.ts`) run one after another; they wait most of the time, so unit tests run beside them, one file at a
// time, and two at a time where there are no others. Ends with the skipped tests and their reasons; with CI=true a skip is
// a failure.
import { globSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { run } from 'node:test';
import type { EventData } from 'node:test';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string' }, verbose: { type: 'boolean', short: 'v' } },
});

interface Outcome {
  passed: number;
  failures: Array<{ file: string; name: string; error: string }>;
  skipped: Array<{ file: string; name: string; reason: string }>;
}

/** Test files at or below the given paths; every one when none is given. */
function findFiles(paths: string[]): string[] {
  const patterns = ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts', 'examples/**/*.test.ts'];
  const all = globSync(patterns, { cwd: root, exclude: (name) => name.includes('node_modules') }).sort();
  if (paths.length === 0) return all;
  const wanted = paths.map((path) => {
    const from = relative(root, resolve(process.env['INIT_CWD'] ?? process.cwd(), path));
    statSync(resolve(root, from));
    return from;
  });
  return all.filter((file) =>
    wanted.some((path) => path === '' || file === path || file.startsWith(`${path}/`)),
  );
}

/** The innermost error's text, without node:test's own wrapping. */
function errorText(details: EventData.TestFail['details']): string {
  const error = details.error;
  const cause = error.cause;
  if (cause instanceof Error) return cause.stack ?? cause.message;
  return cause === undefined
    ? (error.stack ?? error.message)
    : typeof cause === 'string'
      ? cause
      : JSON.stringify(cause);
}

/** Runs files in processes of their own and adds what happened to `outcome`. */
async function runFiles(
  files: string[],
  concurrency: number,
  timeoutMs: number,
  outcome: Outcome,
  nodeFlags: readonly string[] = [],
): Promise<void> {
  if (files.length === 0) return;
  const stream = run({
    files: files.map((file) => resolve(root, file)),
    concurrency,
    timeout: timeoutMs,
    ...(values.name === undefined ? {} : { testNamePatterns: [values.name] }),
    execArgv: ['--disable-warning=ExperimentalWarning', ...nodeFlags],
  });
  stream.on('test:pass', (data) => {
    const file = data.file ? relative(root, data.file) : '';
    if (data.skip !== undefined || data.todo !== undefined) {
      const reason = data.skip ?? data.todo;
      outcome.skipped.push({
        file,
        name: data.name,
        reason: typeof reason === 'string' ? reason : 'no reason given',
      });
      return;
    }
    if (data.details.type === 'suite') return;
    outcome.passed += 1;
    if (values.verbose)
      console.log(`ok   ${file}: ${data.name} (${Math.round(data.details.duration_ms)} ms)`);
  });
  stream.on('test:fail', (data) => {
    // A suite fails because a test of it did; only a suite that fails by itself (a hook) is news.
    if ((data.details.error as { failureType?: string }).failureType === 'subtestsFailed') return;
    const file = data.file ? relative(root, data.file) : '';
    const error = errorText(data.details);
    outcome.failures.push({ file, name: data.name, error });
    console.log(`FAIL ${file}: ${data.name}\n${error.replace(/^/gm, '     ')}`);
  });
  const begun = new Map<string, number>();
  stream.on('test:dequeue', (data) => {
    if (data.nesting === 0 && data.file) begun.set(data.file, performance.now());
  });
  stream.on('test:stdout', (data) => {
    if (values.verbose) process.stdout.write(data.message);
  });
  stream.on('test:stderr', (data) => {
    if (values.verbose) process.stderr.write(data.message);
  });
  stream.on('test:summary', (data) => {
    if (data.file)
      console.log(
        `${data.success ? 'ok  ' : 'FAIL'} ${relative(root, data.file)} (${data.counts.tests} tests, ${Math.round(data.duration_ms)} ms)`,
      );
  });
  stream.resume();
  await new Promise((done) => stream.once('close', done));
}

const files = findFiles(positionals);
if (files.length === 0) {
  console.error(`no test file at ${positionals.join(' ')}`);
  process.exitCode = 1;
} else {
  const startedMs = performance.now();
  const outcome: Outcome = { passed: 0, failures: [], skipped: [] };
  const system = files.filter((file) => file.endsWith('.system.test.ts'));
  const unit = files.filter((file) => !file.endsWith('.system.test.ts'));
  const giveWay = ['--import', resolve(import.meta.dirname, 'give-way.ts')];
  await Promise.all([
    system.length > 0
      ? runFiles(unit, 1, 5 * 60_000, outcome, giveWay)
      : runFiles(unit, 2, 5 * 60_000, outcome),
    runFiles(system, 1, 15 * 60_000, outcome),
  ]);
  if (outcome.skipped.length > 0) {
    console.log('\nSkipped:');
    for (const skip of outcome.skipped) console.log(`  ${skip.file}: ${skip.name}: ${skip.reason}`);
  }
  if (outcome.failures.length > 0) {
    console.log('\nFailed:');
    for (const failure of outcome.failures) console.log(`  ${failure.file}: ${failure.name}`);
  }
  const strict = process.env['CI'] === 'true' && outcome.skipped.length > 0;
  if (strict) console.log('\nWith CI=true a skipped test is a failure.');
  console.log(`\n${files.length} files in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  console.log(
    `${outcome.passed} passed, ${outcome.failures.length} failed, ${outcome.skipped.length} skipped`,
  );
  if (outcome.failures.length > 0 || outcome.passed === 0 || strict) process.exitCode = 1;
}
