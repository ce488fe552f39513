import type { Nft } from './libnftables.ts';

/**
 * The one owner of the nftables table `inet cloudless`. Each part of the data plane is given names (a prefix) and
 * base chains at fixed priorities here, and nowhere else, so that parts cannot collide and a reader sees the
 * whole order of packet processing on one page. Nothing of anybody else's rules is read or flushed.
 */
export const tableFamily = 'inet';
export const tableName = 'cloudless';

/** Parts of the data plane, in the order in which they see a packet at equal priority. */
export type NftPart = 'services' | 'hostports' | 'pods' | 'policy' | 'egress';

interface BaseChain {
  part: NftPart;
  type: 'nat' | 'filter';
  hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  priority: number;
}

/**
 * Who sees a packet where. Destination NAT sits at the kernel's own priority (-100), refusals of Services without
 * endpoints just before it, what is left for a Service's address just before policy, which stands in the filter hooks
 * after NAT; source NAT at 100 with egress addresses first.
 */
export const baseChains = {
  'hostports-guard': { part: 'hostports', type: 'filter', hook: 'prerouting', priority: -300 },
  'services-refuse-prerouting': { part: 'services', type: 'filter', hook: 'prerouting', priority: -110 },
  'services-refuse-output': { part: 'services', type: 'filter', hook: 'output', priority: -110 },
  'services-prerouting': { part: 'services', type: 'nat', hook: 'prerouting', priority: -100 },
  'services-output': { part: 'services', type: 'nat', hook: 'output', priority: -100 },
  'services-remember-prerouting': { part: 'services', type: 'filter', hook: 'prerouting', priority: -90 },
  'services-remember-output': { part: 'services', type: 'filter', hook: 'output', priority: -90 },
  'services-unserved-prerouting': { part: 'services', type: 'filter', hook: 'prerouting', priority: -80 },
  'services-unserved-output': { part: 'services', type: 'filter', hook: 'output', priority: -80 },
  'hostports-prerouting': { part: 'hostports', type: 'nat', hook: 'prerouting', priority: -99 },
  'hostports-output': { part: 'hostports', type: 'nat', hook: 'output', priority: -99 },
  'policy-forward': { part: 'policy', type: 'filter', hook: 'forward', priority: -5 },
  'policy-input': { part: 'policy', type: 'filter', hook: 'input', priority: -5 },
  'egress-postrouting': { part: 'egress', type: 'nat', hook: 'postrouting', priority: 95 },
  'services-postrouting': { part: 'services', type: 'nat', hook: 'postrouting', priority: 98 },
  'hostports-postrouting': { part: 'hostports', type: 'nat', hook: 'postrouting', priority: 99 },
  'pods-postrouting': { part: 'pods', type: 'nat', hook: 'postrouting', priority: 100 },
} as const satisfies Record<string, BaseChain>;

export type BaseChainName = keyof typeof baseChains;

/** What one part puts into the table when it is built. */
export interface PartContent {
  part: NftPart;
  /** `map …`, `set …` and ordinary `chain …` blocks; every name starts with the part's name and `-`. */
  declarations: string;
  /** Rules of the part's base chains. */
  rules: Partial<Record<BaseChainName, readonly string[]>>;
  /** `add element …`/`add chain …` lines with the initial content. */
  elements: readonly string[];
}

/** A part used a name or chain that is not its own. */
export class NftOwnershipError extends Error {
  override readonly name = 'NftOwnershipError';
}

function checkOwnership(content: PartContent): void {
  for (const match of content.declarations.matchAll(/^\s*(?:map|set|chain|counter)\s+(\S+)/gm)) {
    const name = match[1] as string;
    if (!name.startsWith(`${content.part}-`) || name in baseChains)
      throw new NftOwnershipError(`part ${content.part} declares ${name}, which is not its own`);
  }
  for (const chain of Object.keys(content.rules) as BaseChainName[]) {
    if (baseChains[chain]?.part !== content.part)
      throw new NftOwnershipError(`part ${content.part} writes rules into ${chain}, which is not its own`);
  }
}

/** The script that replaces the whole table in one kernel transaction: traffic never sees it half-made. */
export function buildTable(parts: readonly PartContent[]): string {
  const blocks: string[] = [];
  const elements: string[] = [];
  for (const content of parts) {
    checkOwnership(content);
    blocks.push(content.declarations);
    elements.push(...content.elements);
  }
  for (const content of parts) {
    for (const [name, rules] of Object.entries(content.rules)) {
      const chain = baseChains[name as BaseChainName];
      blocks.push(
        `  chain ${name} {\n    type ${chain.type} hook ${chain.hook} priority ${chain.priority}; policy accept;\n${rules
          .map((rule) => `    ${rule}`)
          .join('\n')}\n  }`,
      );
    }
  }
  const at = `${tableFamily} ${tableName}`;
  // Adding before deleting makes the deletion succeed whether or not the table was there.
  return [
    `add table ${at}`,
    `delete table ${at}`,
    `table ${at} {\n${blocks.join('\n')}\n}`,
    ...elements,
  ].join('\n');
}

/** The table as it stands in the kernel. */
export interface NftTable {
  /** Builds or replaces everything at once. */
  replace(parts: readonly PartContent[]): void;
  /** Applies one part's change as one transaction; `script` names only the part's own maps, sets and chains. */
  change(part: NftPart, script: string): void;
  /** The listing of one map of ours as libnftables-json(5) has it; empty when there is none. */
  listMap(map: string): unknown[];
  /** Removes the table; nothing else. */
  remove(): void;
}

/** Opens the table on this network namespace; it is created by the first {@link NftTable.replace}. */
export function openTable(nft: Nft): NftTable {
  const at = `${tableFamily} ${tableName}`;
  const verb = new RegExp(`^(?:add|delete|flush|create) (?:element|chain|rule|map|set) ${at} (\\S+)`);
  return {
    replace: (parts) => void nft.run(buildTable(parts)),
    change(part, script) {
      for (const line of script.split('\n')) {
        if (line.trim() === '') continue;
        const name = verb.exec(line)?.[1];
        if (!name?.startsWith(`${part}-`))
          throw new NftOwnershipError(`part ${part} may not run: ${line.slice(0, 120)}`);
      }
      nft.run(script);
    },
    listMap: (map) => nft.listMap(tableFamily, tableName, map) ?? [],
    remove: () => void nft.run(`add table ${at}\ndelete table ${at}`),
  };
}
