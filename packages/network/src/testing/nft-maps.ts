import * as fc from 'fast-check';
import type { Frontend } from '../services/model.ts';

/** nft's maps and sets as far as elements go, as strict as the kernel: for tests of scripts without one. */
export class NftMaps {
  readonly #maps = new Map<string, Map<string, string>>();

  /** Runs `add element` and `delete element` lines; throws where the kernel would refuse the transaction. */
  run(script: string): void {
    for (const line of script.split('\n').filter((text) => text !== '')) {
      const match = /^(add|delete) element inet cloudless (\S+) \{ (.*) \}$/.exec(line);
      if (!match) throw new Error(`not understood: ${line}`);
      const [, verb, name, list] = match as unknown as [string, string, string, string];
      const map = this.#maps.get(name) ?? new Map<string, string>();
      this.#maps.set(name, map);
      for (const element of list.split(', ')) {
        const [key, value = ''] = element.split(' : ') as [string, string?];
        if (verb === 'add') {
          if (map.has(key) && map.get(key) !== value) throw new Error(`File exists: ${line}`);
          map.set(key, value);
        } else if (!map.delete(key)) throw new Error(`No such file or directory: ${line}`);
      }
    }
  }

  clear(): void {
    this.#maps.clear();
  }

  /** Every element as a line, sorted. */
  content(): string[] {
    return [...this.#maps]
      .flatMap(([name, map]) => [...map].map(([key, value]) => `${name} ${key} → ${value}`))
      .sort((a, b) => (a < b ? -1 : 1));
  }
}

const endpoints = fc
  .uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 20 })
  .map((hosts) => hosts.sort((a, b) => a - b).map((host) => ({ ip: `10.244.0.${host}`, port: 8080 })));

/** Few addresses and ports, so that owners meet. */
const frontends: fc.Arbitrary<Frontend[]> = fc.uniqueArray(
  fc.record({
    ip: fc.integer({ min: 1, max: 3 }).map((host) => `10.96.0.${host}`),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    port: fc.constantFrom(53, 80),
    endpoints,
    affinity: fc.constantFrom('none' as const, 'client' as const),
  }),
  { maxLength: 3, selector: ({ ip, protocol, port }) => `${ip}${protocol}${port}` },
);

/** Random sequences of what Services of a few names come to mean. */
export const arbitraryChanges: fc.Arbitrary<Array<{ owner: string; frontends: Frontend[] }>> = fc.array(
  fc.record({ owner: fc.constantFrom('a/one', 'a/two', 'b/three'), frontends }),
  { minLength: 1, maxLength: 12 },
);
