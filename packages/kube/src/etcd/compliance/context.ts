import assert from 'node:assert/strict';
import {
  EtcdError,
  type EtcdStore,
  type KeyValue,
  prefixEnd,
  type RangeRequest,
  type WatchEvent,
  type WatchHandle,
  type WatchMessage,
  type WatchRequest,
} from '../store.ts';

export const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
export const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
export const noValue = new Uint8Array(0);
const waitMs = 15_000;

/** The same in plain form, so that deepEqual compares Buffer and Uint8Array alike. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes:${text(value)}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries.map(([name, field]) => [name, plain(field)]));
}

export async function rejectsLike(promise: Promise<unknown>, expected: EtcdError): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof EtcdError, `an EtcdError, not ${String(error)}`);
    assert.equal(error.message, expected.message);
    assert.equal(error.code, expected.code);
    return true;
  });
}

/** Collects what a watch receives and waits for conditions on it. */
export class Receiver {
  readonly messages: WatchMessage[] = [];
  #waiting: Array<() => void> = [];

  readonly receive = (message: WatchMessage): void => {
    this.messages.push(message);
    for (const check of this.#waiting) check();
  };

  get events(): WatchEvent[] {
    return this.messages.flatMap((message) => (message.type === 'events' ? message.events : []));
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const seen = JSON.stringify(plain(this.messages));
        const text = seen.length > 1500 ? `${seen.slice(0, 500)} … ${seen.slice(-1000)}` : seen;
        reject(new Error(`waited ${waitMs} ms for ${what}; ${this.messages.length} received: ${text}`));
      }, waitMs);
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((other) => other !== check);
        resolve();
      };
      this.#waiting.push(check);
      check();
    });
  }
}

/** One test's part of the store. */
export class Context {
  readonly store: EtcdStore;
  readonly prefix: string;

  constructor(store: EtcdStore, prefix: string) {
    this.store = store;
    this.prefix = prefix;
  }

  key(name: string): Uint8Array {
    return bytes(this.prefix + name);
  }

  /** Every key of this test. */
  all(): { key: Uint8Array; rangeEnd: Uint8Array } {
    const key = bytes(this.prefix);
    return { key, rangeEnd: prefixEnd(key) };
  }

  async put(name: string, value: string, more: object = {}): Promise<number> {
    return (await this.store.put({ key: this.key(name), value: bytes(value), ...more })).revision;
  }

  async get(name: string, revision?: number): Promise<KeyValue | undefined> {
    return (await this.store.range({ key: this.key(name), revision })).kvs[0];
  }

  async names(request: Partial<RangeRequest>): Promise<string[]> {
    const { kvs } = await this.store.range({ ...this.all(), ...request });
    return kvs.map(({ key }) => text(key).slice(this.prefix.length));
  }

  watch(receiver: Receiver, request: Partial<WatchRequest> = {}): WatchHandle {
    return this.store.watch({ ...this.all(), ...request }, receiver.receive);
  }
}

/** A part of the store of its own for one test. */
export type NewContext = () => Context;
