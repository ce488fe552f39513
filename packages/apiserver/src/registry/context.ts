import type { UserInfo } from '@cloudless/kube/user';
import type { Annotate } from '../admission/plugin.ts';
import type { Served } from './catalogue.ts';

/** Who writes what, as the registry needs it. Authorization is done. */
export interface WriteContext {
  readonly user: UserInfo;
  readonly served: Served;
  /** Of the request; absent where the server itself writes on the user's behalf. */
  readonly verb?: string | undefined;
  readonly subresource: string;
  /** '' for cluster-scoped resources. */
  readonly namespace: string;
  /** Of the URL; '' when it names none. */
  readonly name: string;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions as sent. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
  /** Comes to own what the write changes; undefined: the change says itself who owns what, or nobody does. */
  readonly fieldManager: string | undefined;
  /** Admission has judged the whole of which this write is a part, such as an eviction: it is not asked again. */
  readonly admitted?: boolean;
  /** Adds a `Warning` header. */
  warn(text: string): void;
  /** Adds an annotation to the audit event; absent when nothing is audited. */
  readonly annotate?: Annotate | undefined;
}

/** Rounds of admission and allocation before a write that keeps losing races is refused. */
export const maxRaces = 8;
