import { errors, StatusError } from '@cloudless/kube/status';

export type Format = 'json' | 'yaml' | 'protobuf';

/** What a response is to be encoded as. */
export interface Negotiated {
  readonly format: Format;
  /** `as=`: another shape of the same objects, in `v` of `g`. */
  readonly as: '' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'APIGroupDiscoveryList';
  readonly group: string;
  readonly version: string;
  readonly pretty: boolean;
}

export const mediaTypes: Readonly<Record<Format, string>> = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
};
const formats: ReadonlyMap<string, Format> = new Map(
  Object.entries<Format>({
    'application/json': 'json',
    'application/yaml': 'yaml',
    'application/vnd.kubernetes.protobuf': 'protobuf',
    'application/*': 'json',
    '*/*': 'json',
    '*': 'json',
  }),
);
const plain: Negotiated = { format: 'json', as: '', group: '', version: '', pretty: false };

/**
 * Which `as=` a handler offers: Table and PartialObjectMetadata for objects, discovery lists for `/api`, `/apis`.
 * Custom objects themselves have no protobuf form.
 */
export type Offer = 'objects' | 'custom' | 'discovery' | 'plain';

const objectShapes: ReadonlySet<string> = new Set([
  'Table meta.k8s.io v1',
  'Table meta.k8s.io v1beta1',
  'PartialObjectMetadata meta.k8s.io v1',
  'PartialObjectMetadata meta.k8s.io v1beta1',
  'PartialObjectMetadataList meta.k8s.io v1',
  'PartialObjectMetadataList meta.k8s.io v1beta1',
]);

const shapes: Readonly<Record<Offer, ReadonlySet<string>>> = {
  objects: objectShapes,
  custom: objectShapes,
  discovery: new Set([
    'APIGroupDiscoveryList apidiscovery.k8s.io v2',
    'APIGroupDiscoveryList apidiscovery.k8s.io v2beta1',
  ]),
  plain: new Set(),
};

const known = new Map<string, Negotiated>();
/** Clients send few different headers; more than this are an attempt to fill memory. */
const maxKnown = 256;

/**
 * Picks the first acceptable clause of an Accept header (apiserver/pkg/endpoints/handlers/negotiation). Quality
 * values order clauses. Throws 406 when nothing fits.
 */
export function negotiate(accept: string | undefined, offer: Offer, pretty = false): Negotiated {
  if (!accept) return pretty ? { ...plain, pretty } : plain;
  const key = `${offer}\n${pretty}\n${accept}`;
  const cached = known.get(key);
  if (cached) return cached;
  const result = pick(accept, offer, pretty);
  if (!result) {
    if (offer === 'custom')
      throw errors.notAcceptable(
        `only the following media types are accepted: ${Object.values(mediaTypes).join(', ')}`,
      );
    throw new StatusError(
      406,
      'NotAcceptable',
      `406: Not Acceptable\n\nAvailable representations: ${Object.values(mediaTypes).join(', ')}`,
      {},
    );
  }
  if (known.size >= maxKnown) known.clear();
  known.set(key, result);
  return result;
}

function pick(accept: string, offer: Offer, pretty: boolean): Negotiated | undefined {
  const clauses = accept.split(',').map((clause, index) => {
    const [type = '', ...parameters] = clause.split(';').map((part) => part.trim());
    const values = new Map(parameters.map((each) => each.split('=', 2) as [string, string | undefined]));
    return { type: type.toLowerCase(), values, index, quality: Number(values.get('q') ?? 1) };
  });
  clauses.sort((a, b) => b.quality - a.quality || a.index - b.index);
  for (const { type, values } of clauses) {
    const format = formats.get(type);
    if (!format) continue;
    const as = values.get('as') ?? '';
    if (offer === 'custom' && format === 'protobuf' && as === '') continue;
    const group = values.get('g') ?? '';
    const version = values.get('v') ?? '';
    if (as !== '' && !shapes[offer].has(`${as} ${group} ${version}`)) continue;
    return {
      format,
      as: as as Negotiated['as'],
      group,
      version,
      pretty: pretty || values.get('pretty') === '1',
    };
  }
  return undefined;
}
