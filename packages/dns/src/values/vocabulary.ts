/** What a key of the values means here. */
export interface Term {
  /** The keys below it; undefined: it holds text, or a list. */
  readonly below?: Readonly<Record<string, Term>>;
  /** Keys below it are names that the user chose; each holds this. */
  readonly each?: Term;
  /** It is accepted and changes nothing, for this reason. */
  readonly ignored?: string;
}

const used: Term = {};
const anything = (ignored: string): Term => ({ ignored });
const keys = (names: string, ignored: string): Record<string, Term> =>
  Object.fromEntries(names.split(' ').map((name) => [name, anything(ignored)]));
const uses = (names: string): Record<string, Term> =>
  Object.fromEntries(names.split(' ').map((name) => [name, used]));

const service: Term = {
  below: {
    ...uses(
      'enabled type port ipFamilyPolicy ipFamilies loadBalancerIP loadBalancerClass loadBalancerSourceRanges clusterIP externalIPs externalTrafficPolicy allocateLoadBalancerNodePorts nodePort',
    ),
    annotations: { each: used },
    labels: { each: used },
  },
};

const noPods = 'there are no pods of its own to set this for';
const noNames = 'objects have fixed names here';
const noRegistry = 'who made a record is kept in the cluster, not in TXT records';
const atOnce = 'every change is seen and served at once';

/**
 * Every key that is known: those of the stateless-dns chart (charts/stateless-dns/values.yaml) and our own, which begin
 * with `transfers`.
 */
export const vocabulary: Readonly<Record<string, Term>> = {
  ...keys(
    'imagePullSecrets podAnnotations podSecurityContext deploymentStrategy deploymentAnnotations priorityClassName hostNetwork dnsPolicy nodeSelector tolerations affinity',
    noPods,
  ),
  ...keys('nameOverride fullNameOverride fullnameOverride', noNames),
  replicaCount: anything('every node that runs DNS answers, and all agree on each serial'),
  serviceAccount: anything('it has an account of its own'),
  rbac: anything('it has an account of its own, with the least rights'),
  ingress: anything('the API has a Service; put an Ingress of yours in front of it'),
  service: { below: { api: service, dnsUdp: service, dnsTcp: service, externalDNSMetrics: service } },
  externalDNS: {
    below: {
      ...uses(
        'sources policy managedRecordTypes annotationFilter labelFilter defaultTtlSeconds triggerLoopOnEvent interval',
      ),
      triggerLoopOnEvent: anything(atOnce),
      interval: anything(atOnce),
      ...keys('txtOwnerId txtPrefix txtSuffix txtWildcardReplacement', noRegistry),
      ...keys('image pullPolicy securityContext resources', noPods),
      ...keys('nameOverride fullnameOverride', noNames),
      ...keys('logLevel logFormat', "logs are the process's (LOG_LEVEL)"),
    },
  },
  pdns: {
    below: {
      apiKeySecret: {
        below: {
          ...uses('create name key valuePlain valueBase64'),
          annotations: anything('the Secret has none'),
        },
      },
      extraArgs: used,
      extraConfig: { each: used },
      ...keys('image pullPolicy securityContext resources', noPods),
      ...keys('nameOverride fullnameOverride', noNames),
    },
  },
  zones: { each: used },
  transfers: { below: { allow: used, notify: used } },
  secondaries: { each: { below: { primaries: used } } },
  updates: { below: { allow: used } },
  tsigKeys: { each: used },
  dnssec: { each: { below: { denial: used, cds: used } } },
  access: { below: { allow: used, deny: used } },
  rateLimit: {
    below: uses('enabled responsesPerSecond errorsPerSecond slip ipv4PrefixLength ipv6PrefixLength exempt'),
  },
  engine: { below: uses('name url key') },
};
