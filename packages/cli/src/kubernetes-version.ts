/** The Kubernetes release whose API and behaviour Cloudless follows. */
export const kubernetesVersion = 'v1.36.0';
