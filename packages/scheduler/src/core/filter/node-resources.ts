import type { Filter } from './filter.ts';

/** Resources that are compared in this order; all others follow. */
const first = ['cpu', 'memory', 'ephemeral-storage'];

/** Whether the node has room: pods by number, then every requested resource (upstream: noderesources/fit.go). */
export const nodeResourcesFit: Filter = {
  name: 'NodeResourcesFit',
  prepare: ({ requests }) => {
    const asked = [...requests].filter(([, amount]) => amount > 0);
    const others = asked.map(([name]) => name).filter((name) => !first.includes(name));
    const names = [...first.filter((name) => requests.get(name)), ...others];
    return (node) => {
      const reasons: string[] = [];
      let resolvable = true;
      if (node.pods.size + 1 > (node.allocatable.get('pods') ?? 0)) reasons.push('Too many pods');
      for (const name of names) {
        const wanted = requests.get(name) ?? 0;
        const allocatable = node.allocatable.get(name) ?? 0;
        if (wanted <= allocatable - (node.requested.get(name) ?? 0)) continue;
        reasons.push(`Insufficient ${name}`);
        // More than the node has: evicting all its pods would not help.
        if (wanted > allocatable) resolvable = false;
      }
      return reasons.length === 0 ? undefined : { reasons, resolvable };
    };
  },
};
