import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { UserInfo } from '@cloudless/kube/user';
import type { Transaction } from '../storage/transaction.ts';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/**
 * Adds an annotation to an audit event; the first value of a key stays. Values that hold parts of an object are given as
 * `content`: they are written only where objects are.
 */
export type Annotate = (key: string, value: string, kind?: 'content') => void;

/** One request as admission sees it (upstream: admission.Attributes). */
export interface AdmissionRequest {
  operation: Operation;
  user: UserInfo;
  /** The resource of the URL; `kind` is that of the main object, also for subresources. */
  resource: Resource;
  subresource: string;
  namespace: string;
  /** May be empty at CREATE with generateName. */
  name: string;
  /** The new object (CREATE, UPDATE), the options' or subresource's body otherwise. `admit` may change it in place. */
  object: KubeObject | undefined;
  /** The stored object (UPDATE, DELETE); frozen. */
  oldObject: KubeObject | undefined;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions as sent. */
  options: Readonly<Record<string, unknown>>;
  dryRun: boolean;
  /**
   * Further writes that become durable with the object or not at all (quota, allocated addresses). Present for
   * CREATE, UPDATE and DELETE; ignored by the registry under dryRun.
   */
  transaction: Transaction | undefined;
  /** Adds a `Warning` header. */
  warn(text: string): void;
  /** Adds an annotation to the request's audit event. Absent when nothing is audited. */
  readonly annotate?: Annotate | undefined;
  /** Set by the first `admit` that changed the object from outside; all of them then run a second time. */
  reinvocation?: Reinvocation;
}

/** What a second round of `admit` knows of the first (upstream: admission.ReinvocationContext). */
export interface Reinvocation {
  /** Whether a second round is wanted. */
  needed: boolean;
  /** Whether this is it. */
  again: boolean;
  /** By plugin. */
  readonly state: Map<string, unknown>;
}

/**
 * Admission: all `admit`s run in order (they may change `object`), once more where `reinvocation` asks for it, then validation of the strategy, then all
 * `validate`s. Both refuse by throwing `StatusError`. On a lost race both run again on the fresh object.
 */
export interface AdmissionPlugin {
  /** Upstream's name, such as `NodeRestriction`. */
  readonly name: string;
  handles(operation: Operation, resource: Resource, subresource: string): boolean;
  admit?(request: AdmissionRequest): Promise<void> | void;
  validate?(request: AdmissionRequest): Promise<void> | void;
}
