import type { Ask } from './peer.ts';

/** Requests that belong together, sent in order; every answer is compared. */
export interface Case {
  /** Stable from run to run: `apps/v1 Deployment create spec.replicas -1`. */
  readonly name: string;
  /** `create`, `update`, `status`, `patch`, `list`, … */
  readonly family: string;
  /** `apps/v1 Deployment`, or what else it is about. */
  readonly kind: string;
  readonly asks: readonly Ask[];
  /** Headers to compare; `content-type` by default. */
  readonly headers?: readonly string[];
}
