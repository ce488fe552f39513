import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { autoscalerToV1, autoscalerToV2 } from './autoscaler-conversion.ts';
import * as devices from './device-conversion.ts';

type Fields = Record<string, unknown>;
/** Changes an object of one version into another in place, but for apiVersion and kind. */
type Converter = (object: Fields) => void;

/** Renames fields; absent ones stay absent. */
const rename =
  (names: Readonly<Record<string, string>>): Converter =>
  (object) => {
    const moved: Array<[string, unknown]> = [];
    for (const from in names) {
      if (!(from in object)) continue;
      moved.push([names[from] as string, object[from]]);
      delete object[from];
    }
    for (const [to, value] of moved) object[to] = value;
  };

const eventNames = {
  involvedObject: 'regarding',
  message: 'note',
  source: 'deprecatedSource',
  firstTimestamp: 'deprecatedFirstTimestamp',
  lastTimestamp: 'deprecatedLastTimestamp',
  count: 'deprecatedCount',
  reportingComponent: 'reportingController',
};
const resource = 'resource.k8s.io';
const inverse = (names: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(names).map(([from, to]) => [to, from]));

/** The newer API leaves out a reporter that is not known. */
function toNewerEvent(object: Fields): void {
  rename(eventNames)(object);
  for (const name of ['reportingController', 'reportingInstance'])
    if (object[name] === '') delete object[name];
}

/** By `from→to`; versions that differ in name only need none. */
const converters: Readonly<Record<string, Converter>> = {
  'v1/Event→events.k8s.io/v1/Event': toNewerEvent,
  'events.k8s.io/v1/Event→v1/Event': rename(inverse(eventNames)),
  'autoscaling/v2/HorizontalPodAutoscaler→autoscaling/v1/HorizontalPodAutoscaler': autoscalerToV1,
  'autoscaling/v1/HorizontalPodAutoscaler→autoscaling/v2/HorizontalPodAutoscaler': autoscalerToV2,
  [`${resource}/v1beta1/ResourceClaim→${resource}/v1/ResourceClaim`]: devices.claimToV1,
  [`${resource}/v1/ResourceClaim→${resource}/v1beta1/ResourceClaim`]: devices.claimToV1beta1,
  [`${resource}/v1beta1/ResourceClaimTemplate→${resource}/v1/ResourceClaimTemplate`]: devices.templateToV1,
  [`${resource}/v1/ResourceClaimTemplate→${resource}/v1beta1/ResourceClaimTemplate`]:
    devices.templateToV1beta1,
  [`${resource}/v1beta1/ResourceSlice→${resource}/v1/ResourceSlice`]: devices.sliceToV1,
  [`${resource}/v1/ResourceSlice→${resource}/v1beta1/ResourceSlice`]: devices.sliceToV1beta1,
};

/**
 * The conversion slot of the request path (ARCHITECTURE.md, wall 4): every object passes here between the version of
 * its URL and the one it is stored in. Changes and returns `object`, which the caller owns.
 */
export function convert(object: KubeObject, from: Resource, to: Resource): KubeObject {
  if (from.group === to.group && from.version === to.version) return object;
  const converter = converters[`${apiVersionOf(from)}/${from.kind}→${apiVersionOf(to)}/${to.kind}`];
  converter?.(object as unknown as Fields);
  object.apiVersion = apiVersionOf(to);
  object.kind = to.kind;
  return object;
}
