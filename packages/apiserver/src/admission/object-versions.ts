import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { MergeType } from '@cloudless/kube/structured-merge/merge-type';
import type { BodyKind, FieldValidation } from '../request/body.ts';

/** Which body a request's object is: that of the resource itself, or of one of its subresources. */
export interface BodyPlace {
  readonly resource: Resource;
  readonly subresource: string;
}

/** Objects of admission in the versions that webhooks and policies ask for; in a request they are in the stored one. */
export interface ObjectVersions {
  /** Every served resource with the same objects (other versions, `events` of both groups), the given one included. */
  equivalents(resource: Resource): readonly Resource[];
  /** The served resource of a kind. */
  ofKind(kind: BodyKind): Resource | undefined;
  /** Kind of the body of a (sub)resource. */
  kindOf(place: BodyPlace): BodyKind;
  /** A copy of `object` as clients of `place` see it. */
  show(object: KubeObject, place: BodyPlace): Promise<KubeObject> | KubeObject;
  /**
   * The inverse of {@link show}: what a webhook made of the object, decoded, defaulted and in the stored version. `current` is
   * the object before; `validation` says what becomes of fields that the kind does not have (ignored by default).
   * Throws for what is no such object.
   */
  adopt(
    changed: unknown,
    place: BodyPlace,
    current: KubeObject,
    validation?: FieldValidation,
  ): Promise<KubeObject> | KubeObject;
  /** How bodies of `place` merge. */
  mergeTypeOf(place: BodyPlace): MergeType;
}
