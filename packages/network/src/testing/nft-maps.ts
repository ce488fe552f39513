import * as fc from 'fast-check';
import type { Frontend, ServedAddress } from '../services/model.ts';

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
const endpoints6 = fc
  .uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 6 })
  .map((hosts) => hosts.sort((a, b) => a - b).map((host) => ({ ip: `fd00::${host}`, port: 8080 })));

/** Few addresses and ports, so that owners meet. */
const frontend: fc.Arbitrary<Frontend> = fc
  .record({
    ip: fc.constantFrom('10.96.0.1', '10.96.0.2', '203.0.113.3', 'fd01::1'),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    port: fc.constantFrom(53, 80),
    affinitySeconds: fc.constantFrom(undefined, 10_800, 5),
    outside: fc.constantFrom('same' as const, 'masqueraded' as const, 'local' as const),
    sources: fc.constantFrom(undefined, 1, 2, 3),
    some: endpoints,
    some6: endpoints6,
    here: fc.nat({ max: 20 }),
  })
  .map(({ some, some6, here, sources, outside, ...rest }) => {
    const isV6 = rest.ip.includes(':');
    const all = isV6 ? some6 : some;
    const blocks = isV6 ? ['fd00::/8', '2001:db8::/32'] : ['10.0.0.0/8', '192.0.2.0/24'];
    const nested = isV6 ? 'fd00::/16' : '10.1.0.0/16';
    return {
      ...rest,
      endpoints: all,
      outside: outside === 'local' ? all.slice(0, here) : outside,
      ...(sources === undefined ? {} : { sources: [blocks.slice(0, 1), blocks, [nested]][sources - 1] }),
    };
  });
const frontends: fc.Arbitrary<Frontend[]> = fc.uniqueArray(frontend, {
  maxLength: 3,
  selector: ({ ip, protocol, port }) => `${ip}${protocol}${port}`,
});
const addresses: fc.Arbitrary<ServedAddress[]> = fc.uniqueArray(
  fc.record({
    ip: fc.constantFrom('203.0.113.3', '203.0.113.4', '2001:db8::9'),
    kind: fc.constantFrom('virtual' as const, 'external' as const),
  }),
  { maxLength: 2, selector: ({ ip }) => ip },
);

/** Random sequences of what Services of a few names come to mean. */
export const arbitraryChanges: fc.Arbitrary<
  Array<{ owner: string; frontends: Frontend[]; addresses: ServedAddress[] }>
> = fc.array(fc.record({ owner: fc.constantFrom('a/one', 'a/two', 'b/three'), frontends, addresses }), {
  minLength: 1,
  maxLength: 12,
});
