import { goQuote } from '@cloudless/kube/field';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import {
  type FieldSelector,
  parseFieldSelector,
  parseLabelSelector,
  type Selector,
} from '@cloudless/kube/selector/selector';
import { errors } from '@cloudless/kube/status';
import type { Entry } from '../cache/entry.ts';
import type { Route } from '../cache/routes.ts';
import type { StoredResource } from './registry.ts';
import { objectIn } from './view.ts';

/** Which objects a list, watch or deletecollection means. */
export interface Selection {
  /** In the version in which selectors see the objects. */
  readonly resource: Resource;
  /** '' for all namespaces, and for cluster-scoped resources. */
  readonly namespace: string;
  /** The one name that a field selector demands. */
  readonly name: string | undefined;
  /** Absent: every object. Beyond namespace and name. */
  readonly matches: ((entry: Entry) => boolean) | undefined;
  /** One value of one field that every object meant has; absent where the request demands no such thing. */
  readonly route: Route | undefined;
  /** The cache keeps an index of the route's field. */
  readonly isIndexed: boolean;
}

/** Selectors that name the fields of events.k8s.io mean those of the stored core Event. */
const storedEventFields: Readonly<Record<string, string>> = {
  note: 'message',
  reportingController: 'reportingComponent',
};
const storedField = (resource: Resource, field: string): string => {
  if (resource.group !== 'events.k8s.io') return field;
  return storedEventFields[field] ?? field.replace(/^regarding\./, 'involvedObject.');
};

/** Kinds of the cluster whose conversion of field labels knows the name only (AddFieldLabelConversionFunc). */
const withoutNamespaceLabel: ReadonlySet<string> = new Set([
  '/Namespace',
  '/Node',
  'certificates.k8s.io/CertificateSigningRequest',
]);

/** ResourceSlices say it in words of their own. */
function checkSliceField(resource: Resource, field: string, known: object): void {
  if (field === 'metadata.name' || field in known) return;
  const kind = `${resource.group}/${resource.version}, Kind=${resource.kind}`;
  throw errors.badRequest(`field label not supported for ${kind}: ${field}`);
}

/** Upstream's text is that of each kind's conversion of field labels; ReplicaSets have fields, but no conversion. */
function unknownField({ group, kind }: Resource, field: string, hasConversion: boolean): string {
  if (group === 'batch' && kind === 'Job') return `field label ${goQuote(field)} not supported for Job`;
  if (hasConversion && !(group === 'apps' && kind === 'ReplicaSet'))
    return `field label not supported: ${field}`;
  return `${goQuote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
}

function checkField(resource: Resource, stored: StoredResource, field: string): void {
  if (field === 'metadata.name') return;
  if (resource.group === 'resource.k8s.io' && resource.kind === 'ResourceSlice')
    return checkSliceField(resource, field, stored.strategyOf(resource).selectableFields ?? {});
  if (field === 'metadata.namespace' && !withoutNamespaceLabel.has(`${resource.group}/${resource.kind}`))
    return;
  const fields = stored.strategyOf(resource).selectableFields;
  if (fields && storedField(resource, field) in fields) return;
  throw errors.badRequest(unknownField(resource, field, fields !== undefined || stored.custom !== undefined));
}

/** Parses the selectors of a request; throws 400 in upstream's words. */
export function selectionOf(
  resource: Resource,
  stored: StoredResource,
  request: { namespace: string; labelSelector?: string | undefined; fieldSelector?: string | undefined },
): Selection {
  const labels = parsed(request.labelSelector, parseLabelSelector);
  const fields = parsed(request.fieldSelector, parseFieldSelector);
  let { namespace } = request;
  let name: string | undefined;
  let rest: FieldSelector | undefined;
  if (fields && !fields.isEmpty) {
    for (const { field } of fields.requirements) checkField(resource, stored, field);
    name = fields.exactMatch('metadata.name');
    const only = fields.exactMatch('metadata.namespace');
    if (only !== undefined && namespace === '' && resource.namespaced) namespace = only;
    const simple = fields.requirements.every(
      ({ field, operator }) => operator === '=' && field === 'metadata.name',
    );
    if (!simple) rest = fields;
  }
  const route = routeOf(resource, stored, { namespace, name, fields: rest });
  const isIndexed = route !== undefined && route.field === stored.strategyOf(resource).indexedField;
  return { resource, namespace, name, matches: matcher(labels, rest, resource, stored), route, isIndexed };
}

/** What narrows the request down most: a name, a field's value, a namespace. */
function routeOf(
  resource: Resource,
  stored: StoredResource,
  request: { namespace: string; name: string | undefined; fields: FieldSelector | undefined },
): Route | undefined {
  const { namespace, name, fields } = request;
  if (name !== undefined) return { field: 'metadata.name', value: name, valueOf: (entry) => entry.name };
  const values = stored.strategyOf(resource).selectableFields ?? {};
  // Fields that a webhook converts are not known yet when a change is routed.
  const requirements = stored.codec.versions?.convertAll ? [] : (fields?.requirements ?? []);
  for (const { field: asked, operator, value } of requirements) {
    const field = storedField(resource, asked);
    const read = values[field];
    if (operator === '=' && read)
      return { field, value, valueOf: (entry) => read(selectedObject(entry, resource, stored)) };
  }
  if (namespace === '') return undefined;
  return { field: 'metadata.namespace', value: namespace, valueOf: (entry) => entry.namespace };
}

/** Fields of a custom kind are those of the version asked for. */
const selectedObject = (entry: Entry, resource: Resource, stored: StoredResource): KubeObject =>
  stored.custom ? objectIn(entry, resource) : entry.object;

function parsed<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw errors.badRequest(why);
  }
}

function matcher(
  labels: Selector | undefined,
  fields: FieldSelector | undefined,
  resource: Resource,
  stored: StoredResource,
): ((entry: Entry) => boolean) | undefined {
  if ((!labels || labels.isEmpty) && !fields) return undefined;
  const values = stored.strategyOf(resource).selectableFields ?? {};
  const valueOf = (object: KubeObject) => (field: string) => {
    if (field === 'metadata.name') return object.metadata.name;
    if (field === 'metadata.namespace') return object.metadata.namespace;
    return values[storedField(resource, field)]?.(object);
  };
  return (entry) => {
    const object = selectedObject(entry, resource, stored);
    if (labels && !labels.matches(object.metadata.labels)) return false;
    return !fields || fields.matches(valueOf(object));
  };
}
