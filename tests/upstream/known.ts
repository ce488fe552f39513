import type { Difference } from './compare.ts';

/** A difference that stays, with its reason; RESULTS.md is made from this list. */
export interface Known {
  readonly id: string;
  readonly reason: string;
  matches(difference: Difference): boolean;
}

const empty = new Set(['[]', '{}', 'absent']);

export const known: readonly Known[] = [
  {
    id: 'column descriptions',
    reason: 'Descriptions of Table columns are our own words; upstream quotes its API documentation.',
    matches: ({ group }) => group === 'body: columnDefinitions[].description differs',
  },
  {
    id: 'null',
    reason:
      'Go writes null for a time, list or map that is not set and has no `omitempty`; here a time is left out, a list or map is empty. Clients read both alike.',
    matches: ({ upstream, ours }) => upstream === 'null' && empty.has(ours),
  },
  {
    id: 'node ports of load balancers',
    reason:
      '`allocateLoadBalancerNodePorts` that is not set means false here: node ports only where asked for (DESIGN.md).',
    matches: ({ kind, group }) =>
      kind === 'v1 Service' &&
      /body: (items\[\]\.|rows\[\]\.object\.)?spec\.(allocateLoadBalancerNodePorts|ports\[\]\.nodePort|healthCheckNodePort)/.test(
        group,
      ),
  },
  {
    id: 'document hashes',
    reason: 'Hashes in the index of OpenAPI documents differ with their contents.',
    matches: ({ name }) => name === 'GET /openapi/v3',
  },
];
