import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { ObjectCodec, ProtobufReader } from '../storage/codec.ts';
import type { Served } from './catalogue.ts';
import type { Strategy } from './strategy.ts';

/** An object as a request brought it, and what a strict decoder would refuse in it. */
export interface CustomObject {
  readonly object: KubeObject;
  /** `unknown field "spec.foo"`, in upstream's order. */
  readonly strictErrors: readonly string[];
}

/**
 * What serves one kind of a CustomResourceDefinition, in all its versions. Made anew whenever the definition changes:
 * identity says whether it did. Objects pass through requests in the version of the URL, and lie in the store in the
 * storage version.
 */
export interface CustomKind {
  /** In the storage version. */
  readonly storage: Resource;
  /** One per served version. */
  readonly served: readonly Served[];
  /** `WidgetList` */
  readonly listKind: string;
  /** Whether the definition is being deleted: nothing is created any more. */
  readonly terminating: boolean;
  codec(readProtobuf: ProtobufReader): ObjectCodec;
  strategyOf(version: string): Strategy;
  /** What clients of a deprecated version are told. */
  deprecationOf(version: string): string | undefined;
  /**
   * A parsed body as an object of a version: metadata in Go's form, unknown fields and needless nulls dropped,
   * defaults set. Consumes `value`. Throws Error in upstream's words for metadata of wrong types.
   */
  decode(version: string, value: KubeObject, wantsUnknown: boolean): CustomObject;
}
