/**
 * Kinds of devices between resource.k8s.io/v1, in which they are stored, and v1beta1: a request for devices of one
 * class is flat there, and a device's fields stand in `basic` (kubernetes/pkg/apis/resource/v1beta1/conversion.go).
 */
type Fields = Record<string, unknown>;

const requestFields = [
  'deviceClassName',
  'selectors',
  'allocationMode',
  'count',
  'adminAccess',
  'tolerations',
  'capacity',
] as const;
const deviceFields = [
  'attributes',
  'capacity',
  'consumesCounters',
  'nodeName',
  'nodeSelector',
  'allNodes',
  'taints',
  'bindsToNode',
  'bindingConditions',
  'bindingFailureConditions',
  'allowMultipleAllocations',
  'nodeAllocatableResourceMappings',
] as const;

/** Takes fields out of `from`; those that are not set stay behind. */
function take(from: Fields, names: readonly string[]): Fields {
  const taken: Fields = {};
  for (const name of names) {
    const value = from[name];
    delete from[name];
    if (value !== undefined && value !== null && value !== '' && value !== 0) taken[name] = value;
  }
  return taken;
}

const fieldsIn = (value: unknown): Fields => (value ?? {}) as Fields;
const listIn = (value: unknown): Fields[] => (value ?? []) as Fields[];
const requestsOf = (claimSpec: unknown): Fields[] =>
  listIn(fieldsIn(fieldsIn(claimSpec)['devices'])['requests']);

function requestToV1(request: Fields): void {
  const exactly = take(request, requestFields);
  if (Object.keys(exactly).length === 0) return;
  exactly['deviceClassName'] ??= '';
  request['exactly'] = exactly;
}

function requestToV1beta1(request: Fields): void {
  const { exactly } = request as { exactly?: Fields };
  delete request['exactly'];
  // Go writes it whether it is set or not.
  Object.assign(request, { deviceClassName: '' }, exactly);
}

/** Change an object in place. */
export const claimToV1 = (claim: Fields): void => requestsOf(claim['spec']).forEach(requestToV1);
export const claimToV1beta1 = (claim: Fields): void => requestsOf(claim['spec']).forEach(requestToV1beta1);
export const templateToV1 = (template: Fields): void =>
  requestsOf(fieldsIn(template['spec'])['spec']).forEach(requestToV1);
export const templateToV1beta1 = (template: Fields): void =>
  requestsOf(fieldsIn(template['spec'])['spec']).forEach(requestToV1beta1);

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/** v1beta1 cannot tell an empty name from none, nor false from nothing. */
export function sliceToV1(slice: Fields): void {
  const spec = fieldsIn(slice['spec']);
  if (spec['nodeName'] === '') delete spec['nodeName'];
  if (spec['allNodes'] === false) delete spec['allNodes'];
  for (const device of listIn(spec['devices'])) {
    const basic = fieldsIn(device['basic']);
    delete device['basic'];
    for (const name of deviceFields) {
      const value = basic[name];
      if (value === undefined || value === null) continue;
      if ((name === 'attributes' || name === 'capacity') && isEmpty(value)) continue;
      device[name] = value;
    }
  }
}

export function sliceToV1beta1(slice: Fields): void {
  for (const device of listIn(fieldsIn(slice['spec'])['devices'])) {
    const basic: Fields = {};
    for (const name of deviceFields) {
      if (device[name] !== undefined && device[name] !== null) basic[name] = device[name];
      delete device[name];
    }
    device['basic'] = basic;
  }
}
