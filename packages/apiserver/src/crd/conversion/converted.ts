/** Judges what a conversion webhook made of an object (webhook_converter.go, validateConvertedObject, restoreObjectMeta). */
import { goTypeName, isJsonObject } from '@cloudless/kube/codec/json-value';
import { FieldPath } from '@cloudless/kube/field';
import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { validateAnnotations, validateLabels } from '../../registry/validation/metadata.ts';
import { cloneJson, equalJson } from '../../storage/codec.ts';

/** `group/version, Kind=K` as Go prints it. */
export const shownKind = ({ apiVersion = '', kind = '' }: KubeObject): string =>
  `${apiVersion}, Kind=${kind}`;

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** A converted object is another than the one that was given. The message is upstream's, without what stands before. */
export class WrongObject extends Error {
  readonly what: 'object' | 'metadata';

  constructor(what: 'object' | 'metadata', message: string) {
    super(message);
    this.name = 'WrongObject';
    this.what = what;
  }
}

function checkIdentity(given: KubeObject, converted: Record<string, unknown>, to: Resource): void {
  const wrong = (what: string, before: unknown, after: unknown): WrongObject =>
    new WrongObject('object', `must have the same ${what}: ${text(before)} != ${text(after)}`);
  const version = text(converted['apiVersion']);
  const wanted = apiVersionOf(to);
  if (version !== wanted)
    throw new WrongObject('object', `invalid groupVersion (expected ${wanted}, received ${version})`);
  const kind = text(converted['kind']);
  if (kind !== given.kind)
    throw new WrongObject('object', `invalid kind (expected ${given.kind}, received ${kind})`);
  const metadata = isJsonObject(converted['metadata']) ? converted['metadata'] : {};
  const before = given.metadata;
  if (text(metadata['name']) !== (before.name ?? '')) throw wrong('name', before.name, metadata['name']);
  if (text(metadata['namespace']) !== (before.namespace ?? ''))
    throw wrong('namespace', before.namespace, metadata['namespace']);
  if (text(metadata['uid']) !== (before.uid ?? '')) throw wrong('UID', before.uid, metadata['uid']);
}

const metadataPath = FieldPath.of('metadata');

/** Labels or annotations of the answer; undefined where it has none. */
function checkTexts(
  field: 'labels' | 'annotations',
  given: Record<string, string> | undefined,
  converted: unknown,
): Record<string, string> | undefined {
  if (converted === undefined || converted === null) return undefined;
  if (!isJsonObject(converted))
    throw new WrongObject(
      'metadata',
      `invalid metadata.${field} of type ${goTypeName(converted)} in converted object`,
    );
  for (const [key, value] of Object.entries(converted))
    if (typeof value !== 'string')
      throw new WrongObject(
        'metadata',
        `metadata.${field}[${key}] must be a string, but is ${goTypeName(value)} in converted object`,
      );
  const texts = converted as Record<string, string>;
  if (equalJson(given ?? {}, texts)) return texts;
  const found =
    field === 'labels'
      ? validateLabels(texts, metadataPath.child('labels'))
      : validateAnnotations(texts, metadataPath.child('annotation'));
  const messages = found.map(({ field: at, message }) => `${at}: ${message}`);
  if (messages.length > 0)
    throw new WrongObject(
      'metadata',
      messages.length === 1 ? (messages[0] as string) : `[${messages.join(', ')}]`,
    );
  return texts;
}

/**
 * What a webhook answered as the object it was given in the version of `to`: its metadata is the given one's but for
 * labels and annotations. Throws `WrongObject` for what is not that object.
 */
export function acceptConverted(given: KubeObject, converted: unknown, to: Resource): KubeObject {
  if (!isJsonObject(converted)) throw new WrongObject('object', `it is a ${goTypeName(converted)}`);
  checkIdentity(given, converted, to);
  const { metadata } = converted;
  if (metadata === undefined) throw new WrongObject('metadata', 'missing metadata in converted object');
  if (!isJsonObject(metadata))
    throw new WrongObject('metadata', `invalid metadata of type ${goTypeName(metadata)} in converted object`);
  const restored = cloneJson(given.metadata);
  for (const field of ['labels', 'annotations'] as const) {
    const texts = checkTexts(field, restored[field], metadata[field]);
    if (texts) restored[field] = texts;
    else delete restored[field];
  }
  return { ...(converted as unknown as KubeObject), metadata: restored };
}
