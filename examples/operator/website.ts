import type { KubeObject, Resource } from '@cloudless/kube/object';

/** A condition of a status (upstream: metav1.Condition). */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
}

/** `kubectl get website`: pages that a few replicas of a web server serve; crd.yaml has the schema. */
export interface Website extends KubeObject {
  spec: {
    pages: Record<string, string>;
    /** Set by the schema's default. */
    replicas: number;
    image: string;
  };
  status?: { observedGeneration?: number; readyReplicas?: number; conditions?: Condition[] };
}

export const websites: Resource<Website> = {
  group: 'example.cloudless.dev',
  version: 'v1',
  plural: 'websites',
  kind: 'Website',
  namespaced: true,
};
