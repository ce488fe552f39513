// `npm run test:upstream`: sends the same requests to upstream's kube-apiserver and to ours and lists in what their
// answers differ. See README.md beside this file.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Case } from './case.ts';
import { accessCases, claimCases, identityCases } from './cases/access.ts';
import { applyCases } from './cases/apply.ts';
import { collectionCases, watchCases } from './cases/collections.ts';
import { lifeCases, readCases, verbCases } from './cases/life.ts';
import { serverCases } from './cases/server.ts';
import { subresourceCases } from './cases/subresources.ts';
import { arbitraryCases, createCases, patchCases, statusCases, updateCases } from './cases/writes.ts';
import { compare, type Difference } from './compare.ts';
import { serverPorts } from './normalize.ts';
import { sectionOf } from './e2e-section.ts';
import { prepareServers } from './prepare.ts';
import { classes, readable, reasonOf, resultsDocument } from './report.ts';
import { type Tested, testedResources } from './resources.ts';
import { type Servers, startServers } from './servers.ts';

const setting = (name: string, fallback: string): string => process.env[name] ?? fallback;
const seed = Number(setting('SEED', '1'));
const perKind = Number(setting('ITERATIONS', '150'));
const list = (text: string): string[] => text.split(',').filter((part) => part !== '');
const families = list(setting('FAMILIES', ''));
const kinds = list(setting('KINDS', ''));
const beta = setting('STAGE', 'stable') === 'all';
const concurrency = Number(setting('CONCURRENCY', '8'));

function casesOf(tested: readonly Tested[]): Case[] {
  const each = (make: (one: Tested) => Case[]): Case[] => tested.flatMap(make);
  const all = [
    ...(kinds.length === 0 ? [...serverCases(), ...identityCases()] : []),
    ...each(readCases),
    ...each(verbCases),
    ...each((one) => createCases(one, seed, perKind)),
    ...each((one) => updateCases(one, seed, perKind)),
    ...each((one) => statusCases(one, seed, perKind)),
    ...each((one) => patchCases(one, seed, perKind)),
    ...each((one) => arbitraryCases(one, seed, Math.ceil(perKind / 10))),
    ...each(accessCases),
    ...each(claimCases),
    ...each(subresourceCases),
    ...each(watchCases),
    ...each(applyCases),
    ...each(collectionCases),
    // Last: they change what is there.
    ...each(lifeCases),
  ];
  return families.length === 0 ? all : all.filter(({ family }) => families.includes(family));
}

async function runCase(servers: Servers, one: Case): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const ask of one.asks) {
    const [upstream, ours] = await Promise.all([servers.upstream.ask(ask), servers.ours.ask(ask)]);
    found.push(...compare(one, ask, upstream, ours));
  }
  return found;
}

/** Cases in order, some at a time; those that change objects alone. */
async function runCases(servers: Servers, cases: readonly Case[]): Promise<Difference[]> {
  const found: Difference[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < cases.length) {
      const one = cases[next++] as Case;
      try {
        found.push(...(await runCase(servers, one)));
      } catch (error) {
        const { family, kind, name } = one;
        const text = (error as Error).message;
        found.push({
          group: `no answer: ${text}`,
          family,
          kind,
          name,
          request: '',
          upstream: '',
          ours: text,
        });
      }
      if (next % 2000 === 0) console.log(`${next} of ${cases.length} cases`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return found;
}

async function main(): Promise<void> {
  const kubeApiserver = process.env['KUBE_APISERVER'];
  if (!kubeApiserver)
    throw new Error(
      'KUBE_APISERVER must name a kube-apiserver program; tests/upstream/build-upstream.sh FOLDER builds one where Go is',
    );
  const folder = mkdtempSync(join(tmpdir(), 'cloudless-upstream-'));
  const runtimeConfig: Record<string, boolean> = beta ? { 'api/all': true } : {};
  await using servers = await startServers({
    kubeApiserver: resolve(kubeApiserver),
    etcd: setting('ETCD', 'etcd'),
    folder,
    runtimeConfig,
  });
  console.log(`SEED=${seed} ITERATIONS=${perKind}, upstream ${servers.upstreamVersion}, logs in ${folder}`);
  for (const { url } of [servers.upstream, servers.ours]) serverPorts.add(Number(new URL(url).port));
  const tested = testedResources({ kinds, beta });
  for (const line of await prepareServers(servers, tested)) console.log(`sample: ${line}`);
  const cases = casesOf(tested);
  const begun = performance.now();
  const found = await runCases(servers, cases);
  const requests = cases.reduce((sum, { asks }) => sum + asks.length, 0);
  const unexplained = found.filter((difference) => reasonOf(difference) === undefined);
  const grouped = classes(unexplained);
  console.log(readable(grouped, Number(setting('SHOW', '60'))));
  const out = resolve(setting('OUT', folder));
  mkdirSync(out, { recursive: true });
  writeFileSync(
    join(out, 'differences.json'),
    JSON.stringify(
      found.map((difference) => ({ ...difference, reason: reasonOf(difference) })),
      undefined,
      1,
    ),
  );
  writeFileSync(join(out, 'classes.txt'), readable(grouped, grouped.length));
  if (process.env['RESULTS']) {
    const title = `Against kube-apiserver ${servers.upstreamVersion}, SEED=${seed}, ITERATIONS=${perKind}`;
    const text = resultsDocument({ title, cases: cases.length, requests, found });
    writeFileSync(process.env['RESULTS'], `${text}\n${sectionOf(process.env['RESULTS'])}`);
  }
  const byFamily = Object.entries(Object.groupBy(found, ({ family }) => family));
  const seconds = Math.round((performance.now() - begun) / 1000);
  const answered = new Set(found.map(({ name }) => name)).size;
  console.log(
    `${requests} requests to each in ${cases.length} cases, ${seconds} s: ${cases.length - answered} cases alike, ` +
      `${found.length} differences (${found.length - unexplained.length} with a reason) in ${grouped.length} classes; ` +
      `${byFamily.map(([family, all]) => `${family} ${all?.length}`).join(', ')}; all in ${out}`,
  );
}

await main();
