import { minorOf } from '../e2e/session/session.ts';
import type { PrintedDifference } from './kubectl-report.ts';

/** A difference in what kubectl prints that stays, with its reason; KUBECTL.md is made from this list. */
export interface KnownPrinted {
  readonly difference: string;
  readonly why: string;
  matches(difference: PrintedDifference): boolean;
}

const sortedLines = (text: string): string => text.split('\n').sort().join('\n');

export const knownPrinted: readonly KnownPrinted[] = [
  {
    difference: 'upstream shows a node port of a Service of type LoadBalancer',
    why: 'a choice: `allocateLoadBalancerNodePorts` that is not set means false',
    matches: ({ line, upstream }) =>
      (line === 'get all' || line.includes('service lb')) && /NODE-PORT|NodePort: /.test(upstream),
  },
  {
    difference: 'upstream’s server makes `kube-apiserver-legacy-service-account-token-tracking`',
    why: 'it dates the use of secret-based tokens, which this server does not issue',
    matches: ({ upstream, ours }) =>
      upstream.replace(/.*kube-apiserver-legacy-service-account-token-tracking\n/, '') === ours,
  },
  {
    difference: 'upstream lists `componentstatuses`',
    why: 'deprecated since 1.19, not served',
    matches: ({ upstream, ours }) => upstream.replace(/^componentstatuses.*\n/m, '') === ours,
  },
  {
    difference: 'both refuse; upstream shows the patch as Go prints a map, ours the object that results',
    why: 'upstream shows the object too for the other types of patches',
    matches: ({ line }) => line === 'patch deployment d -p {"spec":{"replicas":"x"}}',
  },
  {
    difference: 'the entries come in another order',
    why: 'kubectl up to 1.33 shows them in the order in which Go meets them, another one each time, against one server too',
    matches: ({ kubectl, line, upstream, ours }) =>
      line.startsWith('describe configmap') &&
      minorOf(kubectl) <= 33 &&
      sortedLines(upstream) === sortedLines(ours),
  },
  {
    difference: 'upstream tells that the address of a Service is not allocated',
    why: 'its repair loop looked between the two writes that make a Service; ours writes both as one, and says nothing',
    matches: ({ line, upstream }) => line === 'get events' && upstream.includes('ClusterIPNotAllocated'),
  },
];
