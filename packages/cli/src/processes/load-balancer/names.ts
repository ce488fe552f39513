/** Where the load balancer keeps its own objects: MetalLB's namespace, so that speakers of both kinds share a key. */
export const loadBalancerNamespace = 'metallb-system';

/** The signer of speakers' certificates, and the group that these are of. */
export const speakerSigner = 'cloudless.io/speaker';
export const speakersGroup = 'cloudless:speakers';

/** The user that a node's speaker is. */
export const speakerUser = (nodeName: string): string => `cloudless:speaker:${nodeName}`;
