import type { FieldError } from '@cloudless/kube/field';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Scale } from '@cloudless/kube/types/autoscaling-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Caches } from '../cache/cache.ts';
import type { Transaction } from '../storage/transaction.ts';

/** A right that a part of a write needs beside that to the write itself. */
export interface FurtherRight {
  verb: string;
  subresource: string;
  namespace: string;
  name: string;
}

export interface StrategyContext {
  user: UserInfo;
  namespace: string;
  /** Group of the request's URL: kinds of two groups are stored as one. */
  group: string;
  /** Of the request: `update` and `patch` may need rights of their own. */
  verb: string;
  /** Why the user may not do more with the kind than the request was authorized for; undefined when they may. */
  refusalOf(asked: FurtherRight): string | undefined;
  /** Subresource of the request, '' for the main resource. */
  subresource: string;
  caches: Caches;
  nowMs: number;
  dryRun: boolean;
}

/**
 * What is particular to a kind, beside facts (scope, columns, selectors). Everything is optional: a kind with
 * none of it is stored as sent, with metadata handled by the generic store (uid, creationTimestamp,
 * generation +1 on spec changes where the kind has a status subresource, deletionTimestamp, managedFields).
 * The generic store resets `status` on writes to the main resource, and everything but `status` (and
 * resourceVersion) on writes to `/status`, for kinds that have a status subresource; a strategy repeats none of that.
 *
 * Objects are plain JSON objects, owned by the request: `defaults` and `prepare…` change them in place.
 */
export interface Strategy<T extends KubeObject = KubeObject> {
  /**
   * Runs on the decoded body before defaulting, while unset can still be told from set (wall 4).
   */
  beforeDefaults?(context: StrategyContext, object: T): void;
  /** Sets defaults (upstream: SetDefaults_*). Also run on objects read from storage, so it must be idempotent and cheap. */
  defaults?(object: T): void;
  /**
   * Drops fields of features that are off, in place. Runs on what is about to be written, after its fields were given
   * to their manager (who owns such a field although nobody keeps it, as upstream), never on what is read.
   */
  dropDisabledFields?(object: T): void;
  prepareForCreate?(context: StrategyContext, object: T): void;
  prepareForUpdate?(context: StrategyContext, object: T, old: T): void;
  /** Beyond metadata, which the generic store validates. */
  validate?(context: StrategyContext, object: T): FieldError[];
  /** Immutability and transitions included; `validate` is not called as well. */
  validateUpdate?(context: StrategyContext, object: T, old: T): FieldError[];
  validateStatusUpdate?(context: StrategyContext, object: T, old: T): FieldError[];
  warnings?(context: StrategyContext, object: T, old: T | undefined): string[];
  canonicalize?(object: T): void;
  /**
   * Allocates what must be unique cluster-wide (service IPs) by setting fields of `object` and adding writes to
   * `transaction`. Runs after mutating admission and before validation; again on a lost race.
   */
  allocate?(
    context: StrategyContext,
    change: { object: T | undefined; old: T | undefined; transaction: Transaction },
  ): Promise<void> | void;
  /** Deletion grace in seconds for pods; undefined: delete at once (subject to finalizers). */
  gracePeriodSeconds?(object: T, requested: number | undefined): number;
  /** Shape of a Table row; absent: Name and Age. */
  table?: TableDefinition<T>;
  /** Values by field selector name, beyond metadata.name and metadata.namespace. */
  selectableFields?: Readonly<Record<string, (object: T) => string>>;
  /** The one of them by which so many clients list and watch that the cache keeps an index (upstream: pods by node). */
  indexedField?: string;
  /** How `/scale` reads and writes the object; absent: spec.replicas, spec.selector and status.replicas. */
  scale?: ScaleMapping;
  /** Loads what the strategy needs and few clusters use; awaited before every request for the kind. */
  load?(): Promise<void> | undefined;
  /** What an object gets, in place, when its deletion begins: a finalizer at least, conditions. */
  beginDeletion?: (object: T, nowMs: number) => void;
}

/** Where replicas and selector of a kind stand. */
export interface ScaleMapping {
  /** Throws 500 where the object has no replicas to `get`, or something else in their place. */
  scaleOf(object: KubeObject, purpose: 'get' | 'change'): Scale;
  /** The object with the wanted replicas; metadata is the caller's business. Throws 400 when nobody gives any. */
  withScale(object: KubeObject, wanted: Scale): KubeObject;
}

/** Columns as upstream prints them (kubernetes/pkg/printers/internalversion). */
export interface TableDefinition<T> {
  columns: ReadonlyArray<{
    name: string;
    type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
    format?: string;
    description: string;
    /** 0: always shown; 1: with -o wide. */
    priority: number;
  }>;
  cells(object: T, nowMs: number): unknown[];
  /** Order of the rows where it is not that of the list. */
  compare?(a: T, b: T): number;
}

/** Facts of one served resource that OpenAPI does not hold. */
export interface ResourceDeclaration {
  resource: Resource;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
}
