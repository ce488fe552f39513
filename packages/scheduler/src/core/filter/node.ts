import { matchesRequired } from '../node-affinity.ts';
import { isTolerated, untoleratedTaint } from '../taints.ts';
import { type Filter, final, resolvable } from './filter.ts';

const unschedulableTaint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** Cordoned nodes take only pods that tolerate it. */
export const nodeUnschedulable: Filter = {
  name: 'NodeUnschedulable',
  prepare: ({ pod }) => {
    if (isTolerated(unschedulableTaint, pod.spec?.tolerations ?? [])) return undefined;
    return ({ node }) => (node?.spec?.unschedulable ? final('node(s) were unschedulable') : undefined);
  },
};

export const nodeName: Filter = {
  name: 'NodeName',
  prepare: ({ pod }) => {
    const wanted = pod.spec?.nodeName;
    if (!wanted) return undefined;
    return ({ name }) =>
      name === wanted ? undefined : final("node(s) didn't match the requested node name");
  },
};

export const taintToleration: Filter = {
  name: 'TaintToleration',
  prepare: ({ pod }) => {
    const tolerations = pod.spec?.tolerations ?? [];
    return ({ node }) => {
      const taints = node?.spec?.taints;
      if (!taints || taints.length === 0) return undefined;
      const taint = untoleratedTaint(taints, tolerations);
      if (taint === undefined) return undefined;
      return final(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`);
    };
  },
};

export const nodeAffinity: Filter = {
  name: 'NodeAffinity',
  prepare: ({ pod }) => {
    const { nodeSelector, affinity } = pod.spec ?? {};
    if (!nodeSelector && !affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution)
      return undefined;
    return (node) =>
      matchesRequired(pod, node) ? undefined : final("node(s) didn't match Pod's node affinity/selector");
  },
};

export const nodePorts: Filter = {
  name: 'NodePorts',
  prepare: ({ hostPorts }) => {
    if (hostPorts.length === 0) return undefined;
    return (node) =>
      node.conflicts(hostPorts)
        ? resolvable("node(s) didn't have free ports for the requested pod ports")
        : undefined;
  },
};
