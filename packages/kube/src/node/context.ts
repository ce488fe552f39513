import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';

/** Ports of one node. All on loopback or the node's address; tests give each node a namespace of its own. */
export interface NodePorts {
  /** API server, HTTPS. */
  apiserver: number;
  /** Kubelet's HTTPS API. */
  kubelet: number;
  /** Kubelet's healthz, loopback only. */
  kubeletHealthz: number;
  /** Cluster DNS on the node's address, unprivileged; the kube-dns Service maps 53 to it. */
  dns: number;
  /** DNS process's health and metrics, loopback only. */
  dnsHealth: number;
  /** Authoritative DNS on the node's address, unprivileged; the Service `dns` maps 53 to it. */
  dnsExternal: number;
  /** Health, metrics and what is known of its records, loopback only. */
  dnsExternalHealth: number;
  /** PowerDNS's HTTP API of the authoritative DNS; PowerDNS's own port. */
  dnsApi: number;
  /** Controllers' and scheduler's health and metrics, loopback only. */
  controlPlaneHealth: number;
  /** Health, metrics and status of the load balancer's speaker, loopback only. */
  speakerHealth: number;
  /** Gossip between speakers, UDP and TCP on the node's address; MetalLB's. */
  gossip: number;
}

export const defaultPorts: NodePorts = {
  apiserver: 6443,
  kubelet: 10250,
  kubeletHealthz: 10248,
  dns: 10053,
  dnsHealth: 10054,
  dnsExternal: 10055,
  dnsExternalHealth: 10056,
  dnsApi: 8081,
  controlPlaneHealth: 10257,
  speakerHealth: 7472,
  gossip: 7946,
};

/**
 * Everything about a node that is a global on an ordinary machine: paths, ports, sockets, clock. Nothing else
 * in the project names `/var/lib`, `/etc`, `/run` or `/var/log`: `--root DIR` moves all of it, so that several
 * nodes live on one machine, each in its own network namespace.
 */
export interface NodeContext {
  /** `/` for a real machine; otherwise the folder that holds all state. */
  readonly root: string;
  readonly nodeName: string;
  readonly ports: NodePorts;
  readonly clock: Clock;
  readonly paths: NodePaths;
}

export interface NodePaths {
  /** Cloudless's own state. */
  readonly state: string;
  /** SQLite database of the embedded datastore. */
  readonly datastore: string;
  /** `…/etc/kubernetes`: kubeadm's layout. */
  readonly kubernetes: string;
  readonly pki: string;
  readonly manifests: string;
  readonly adminKubeconfig: string;
  readonly kubeletKubeconfig: string;
  /** `…/var/lib/kubelet`: pods' volumes, the kubelet's configuration and certificates. */
  readonly kubelet: string;
  readonly kubeletPki: string;
  /** `…/var/log/pods` and `…/var/log/containers`, as CRI lays them out. */
  readonly podLogs: string;
  readonly containerLogs: string;
  /** Logs of Cloudless's own processes under `--detach`. */
  readonly logs: string;
  /** Sockets and pid files; under 80 characters plus a short name (unix socket paths hold 107). */
  readonly run: string;
  readonly containerdRoot: string;
  readonly containerdState: string;
  readonly containerdSocket: string;
  readonly cniBin: string;
  readonly cniConf: string;
  /** Host-local address allocations. */
  readonly cniState: string;
  /** The network agent's socket, to which the CNI plugin hands requests. */
  readonly cniSocket: string;
  /** Credentials of the dns process, owned by its unprivileged user. */
  readonly dns: string;
  /** Credentials of the load balancer's speaker. */
  readonly speaker: string;
}

/** Builds the context; `root` must be absolute. */
export function nodeContext(options: {
  root?: string;
  nodeName: string;
  ports?: Partial<NodePorts>;
  clock?: Clock;
  /** False when the user brings a pod network: CNI's folders are then the conventional ones it installs into. */
  ownNetwork?: boolean;
}): NodeContext {
  const root = options.root ?? '/';
  const at = (...parts: string[]): string => join(root, ...parts);
  const state = at('var/lib/cloudless');
  const kubernetes = at('etc/kubernetes');
  const kubelet = at('var/lib/kubelet');
  const run = at('run/cloudless');
  return Object.freeze({
    root,
    nodeName: options.nodeName,
    ports: Object.freeze({ ...defaultPorts, ...options.ports }),
    clock: options.clock ?? systemClock,
    paths: Object.freeze({
      state,
      datastore: join(state, 'datastore', 'state.db'),
      kubernetes,
      pki: join(kubernetes, 'pki'),
      manifests: join(kubernetes, 'manifests'),
      adminKubeconfig: join(kubernetes, 'admin.conf'),
      kubeletKubeconfig: join(kubernetes, 'kubelet.conf'),
      kubelet,
      kubeletPki: join(kubelet, 'pki'),
      podLogs: at('var/log/pods'),
      containerLogs: at('var/log/containers'),
      logs: at('var/log/cloudless'),
      run,
      containerdRoot: join(state, 'containerd'),
      containerdState: join(run, 'containerd'),
      containerdSocket: join(run, 'containerd.sock'),
      cniBin: options.ownNetwork === false ? at('opt/cni/bin') : join(state, 'cni', 'bin'),
      cniConf: options.ownNetwork === false ? at('etc/cni/net.d') : join(state, 'cni', 'net.d'),
      cniState: join(state, 'cni', 'networks'),
      cniSocket: join(run, 'cni.sock'),
      dns: join(state, 'dns'),
      speaker: join(state, 'speaker'),
    }),
  });
}
