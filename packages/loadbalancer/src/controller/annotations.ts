/** Annotations of Services (MetalLB: controller/service.go). */
const prefix = 'metallb.io/';
/** Still honoured, with a Warning. */
const deprecatedPrefix = 'metallb.universe.tf/';

type Annotations = Readonly<Record<string, string>> | undefined;

/** Written by the controller: the pool that the addresses come from. */
export const allocatedFromPool = `${prefix}ip-allocated-from-pool`;

const valueOf = (annotations: Annotations, name: string): string =>
  annotations?.[prefix + name] ?? annotations?.[deprecatedPrefix + name] ?? '';

/** The pool that is asked for; empty: any. */
export const wantedPool = (annotations: Annotations): string => valueOf(annotations, 'address-pool');

/** The addresses that are asked for, as they stand there: separated by commas; empty: any. */
export const wantedAddresses = (annotations: Annotations): string => valueOf(annotations, 'loadBalancerIPs');

/** Services with the same key may share an address; empty: alone. */
export const sharingKey = (annotations: Annotations): string => valueOf(annotations, 'allow-shared-ip');

/** Names of annotations that should be written with the newer prefix. */
export const deprecatedAnnotations = (annotations: Annotations): string[] =>
  Object.keys(annotations ?? {}).filter((name) => name.startsWith(deprecatedPrefix));
