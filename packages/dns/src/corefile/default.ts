/**
 * What cluster DNS does without a ConfigMap: kubeadm's Corefile (cmd/kubeadm: phases/addons/dns), with the kubernetes
 * plugin's own TTL, so that moved endpoints are found sooner, and with answers kept for when the servers are away.
 */
export function defaultCorefile(clusterDomain: string, resolvConf: string): string {
  const domain = clusterDomain === '' ? '.' : clusterDomain;
  return `.:53 {
    errors
    health
    ready
    kubernetes ${domain} in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }
    forward . ${resolvConf} {
        max_concurrent 1000
        policy sequential
    }
    cache 3600 {
        prefetch 10 1m 10%
        serve_stale 1h verify 1800ms 30s 30s
    }
    loop
    loadbalance
}
`;
}
