// One attack is one row: what is sent, what must come back. Meanwhile and afterwards others must be served.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from './send.ts';
import type { Victim } from './victim.ts';

export interface Attack {
  readonly name: string;
  /** For the table of README.md: what becomes of it. */
  readonly outcome: string;
  /** Carries it out. Returns the answer to judge; nothing when it has judged by itself. */
  send(victim: Victim): Promise<Answer | void>;
  /** The status code that the answer must have, or one of which. */
  readonly code?: number | readonly number[];
  /** What the body must say. */
  readonly says?: RegExp;
  /** What the body must not give away. */
  readonly hides?: RegExp;
  /** How much the server's memory may have grown when it is over. Default 256 MiB. */
  readonly maxGrowthBytes?: number;
  /** How long the bystander may wait meanwhile. Default 3 s. */
  readonly bystanderMs?: number;
  /** A reason not to run it here; it stays in the table. */
  readonly skip?: string | undefined;
}

export interface AttackTable {
  readonly title: string;
  readonly attacks: readonly Attack[];
}

const mib = 1024 * 1024;
const defaultGrowthBytes = 256 * mib;
/** A bystander's request, on machines where the tests of others run at the same time. */
const bystanderBoundMs = 3_000;

/** Runs every row against one victim. */
export function attackTest(table: AttackTable, start: () => Promise<Victim>): void {
  void test(table.title, async (t) => {
    await using victim = await start();
    for (const attack of table.attacks) {
      await t.test(attack.name, { skip: attack.skip ?? false }, async () => {
        const before = victim.rssBytes();
        const over = new AbortController();
        // In the server's own process the attacker stands in the way of everybody.
        const meanwhile =
          victim.facts.pid === process.pid
            ? undefined
            : bystandersUntil(over.signal, victim, attack.bystanderMs);
        const answer = await attack.send(victim).finally(() => over.abort());
        await meanwhile;
        if (answer) judge(attack, answer);
        await bystanderIsServed(victim);
        const growth = victim.rssBytes() - before;
        const bound = attack.maxGrowthBytes ?? defaultGrowthBytes;
        assert.ok(growth < bound, `memory grew by ${Math.round(growth / mib)} MiB`);
      });
    }
  });
}

function judge(attack: Attack, { code, body }: Answer): void {
  const wanted = attack.code;
  const shown = `${code}: ${body.slice(0, 600)}`;
  if (typeof wanted === 'number') assert.equal(code, wanted, shown);
  else if (wanted) assert.ok(wanted.includes(code), shown);
  if (attack.says) assert.match(body, attack.says);
  if (attack.hides) assert.doesNotMatch(body, attack.hides);
}

/**
 * The bystander comes again and again while an attack goes on, and is served each time: within the bound, and asked to
 * come back in between (429) as clients are used to.
 */
async function bystandersUntil(over: AbortSignal, victim: Victim, boundMs = bystanderBoundMs): Promise<void> {
  let waitingSinceMs: number | undefined;
  while (!over.aborted) {
    waitingSinceMs ??= performance.now();
    const { code, body } = await askAsBystander(victim);
    const waitedMs = performance.now() - waitingSinceMs;
    assert.ok(waitedMs < boundMs, `the bystander waited ${Math.round(waitedMs)} ms: ${code} ${body}`);
    assert.ok(code === 200 || code === 429, `the bystander was answered ${code}: ${body}`);
    if (code === 200) waitingSinceMs = undefined;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const askAsBystander = (victim: Victim): Promise<Answer> =>
  victim.ask('bystander', { path: '/api/v1/namespaces/plaza/configmaps/board' });

/** Someone who has done nothing wrong reads a ConfigMap, within a bound. */
export async function bystanderIsServed(victim: Victim): Promise<void> {
  const started = performance.now();
  const answer = await askAsBystander(victim);
  const tookMs = performance.now() - started;
  assert.equal(answer.code, 200, `the bystander was answered ${answer.code}: ${answer.body}`);
  assert.ok(tookMs < bystanderBoundMs, `the bystander waited ${Math.round(tookMs)} ms`);
}
