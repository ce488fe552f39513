import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { plain, Receiver } from '@cloudless/kube/etcd/compliance';
import type { WatchEvent, WatchMessage, WatchRequest } from '@cloudless/kube/etcd/store';
import { type Datastore, openDatastore } from '../index.ts';
import { random } from '@cloudless/kube/testing/random';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const iterations = Number(process.env['ITERATIONS'] ?? 10);

interface Seen {
  readonly request: WatchRequest;
  readonly from: number;
  readonly events: WatchEvent[];
  last: WatchMessage | undefined;
}

const groups = ['a/', 'b/', 'c/', ''];

const violations: string[] = [];

/** Starts a watch somewhere in the past, present or future, fast or slow, filtered or not. */
function startWatch(store: Datastore, next: () => number): Seen {
  const { revision, compactRevision } = store.figures();
  const prefix = groups[Math.floor(next() * groups.length)] as string;
  const from = Math.max(1, compactRevision, Math.floor(revision + 5 - next() * 60));
  const request: WatchRequest = {
    key: Buffer.from(prefix === '' ? '\0' : prefix),
    rangeEnd: Buffer.from(prefix === '' ? '\0' : `${prefix.slice(0, 1)}0`),
    startRevision: from,
    prevKv: next() < 0.5,
    ...(next() < 0.2 ? { filters: [next() < 0.5 ? ('noput' as const) : ('nodelete' as const)] } : {}),
  };
  const seen: Seen = { request, from, events: [], last: undefined };
  const slowness = next();
  let inside = 0;
  const handle = store.watch(request, (message) => {
    if (inside > 0) violations.push(`a call within a call: ${message.type}`);
    if (message.type === 'events') seen.events.push(...message.events);
    seen.last = message;
    if (slowness < 0.6) return undefined;
    inside++;
    return new Promise<void>((resolve) => setTimeout(resolve, slowness * 6)).then(() => void inside--);
  });
  handle.requestProgress();
  return seen;
}

async function writeFor(store: Datastore, next: () => number, rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    const key = Buffer.from(`${groups[Math.floor(next() * 3)]}${Math.floor(next() * 6)}`);
    if (next() < 0.25) await store.deleteRange({ key });
    else await store.put({ key, value: Buffer.from(String(next())) });
  }
}

/** What a watch must have seen: the whole history, filtered. */
function expected(history: readonly WatchEvent[], { request, from }: Seen): WatchEvent[] {
  const start = Buffer.from(request.key).toString('latin1');
  const end = Buffer.from(request.rangeEnd ?? []).toString('latin1');
  return history.filter(({ type, kv }) => {
    const key = Buffer.from(kv.key).toString('latin1');
    if (kv.modRevision < from || key < start || (end !== '\0' && key >= end)) return false;
    return !request.filters?.includes(type === 'put' ? 'noput' : 'nodelete');
  });
}

const withoutPrev = (events: readonly WatchEvent[]): unknown =>
  plain(events.map(({ type, kv }) => ({ type, kv })));

describe('the watch hub', () => {
  it(`gives every watch all of its changes, once and in order, under load (SEED=${seed})`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'datastore-hub-'));
    const next = random(seed);
    try {
      for (let iteration = 0; iteration < iterations; iteration++) {
        const cacheBytes = iteration % 2 === 0 ? undefined : 2000;
        await using store = await openDatastore({ path: join(folder, `${iteration}.db`), cacheBytes });
        const whole = new Receiver();
        const all = { key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') };
        store.watch({ ...all, prevKv: true, startRevision: 2 }, whole.receive);
        const watches: Seen[] = [];
        const watching = (async () => {
          for (let i = 0; i < 25; i++) {
            watches.push(startWatch(store, next));
            await new Promise((resolve) => setTimeout(resolve, 1));
            if (i === 12) await store.compact(Math.max(2, store.figures().revision - 40));
          }
        })();
        await Promise.all([watching, ...Array.from({ length: 6 }, () => writeFor(store, next, 40))]);
        const { revision } = await store.status();
        await whole.until('the whole history', () => whole.events.at(-1)?.kv.modRevision === revision);
        for (const seen of watches) await verify(seen, whole.events);
        assert.deepEqual(violations, []);
      }
      assert.deepEqual(violations, [], 'nor when the store closes');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

async function verify(seen: Seen, history: readonly WatchEvent[]): Promise<void> {
  const wanted = expected(history, seen);
  for (
    const deadline = Date.now() + 10_000;
    seen.events.length < wanted.length && seen.last?.type !== 'canceled';
  ) {
    assert.ok(Date.now() < deadline, `${seen.events.length} of ${wanted.length} events came`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  if (seen.last?.type === 'canceled') {
    // Overtaken by the compaction: what came until then is right, and the reason is told.
    assert.ok(seen.last.compactRevision > 0);
    assert.deepEqual(withoutPrev(seen.events), withoutPrev(wanted.slice(0, seen.events.length)));
    return;
  }
  assert.deepEqual(withoutPrev(seen.events), withoutPrev(wanted));
  const previous = new Map(history.map((event) => [event.kv.modRevision, event.prevKv]));
  for (const { kv, prevKv } of seen.events) {
    // Below the compaction the previous value may be forgotten; a wrong one never comes.
    if (prevKv !== undefined) assert.deepEqual(plain(prevKv), plain(previous.get(kv.modRevision)));
    if (!seen.request.prevKv) assert.equal(prevKv, undefined);
  }
}
