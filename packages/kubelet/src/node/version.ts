/** The Kubernetes version this kubelet speaks for. */
export const kubeletVersion = 'v1.36.0';
