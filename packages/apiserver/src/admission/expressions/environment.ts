/** Which variables expressions of admission see, and of which types (upstream: admission/plugin/cel/compile.go). */
import type { KubeObject } from '@cloudless/kube/object';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import type { Authorizer } from '../../authz/authorizer.ts';
import {
  boolType,
  type CelType,
  dynType,
  intType,
  listType,
  mapType,
  objectOf,
  stringType,
  timestampType,
} from '../../cel/types.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { authorizerTypes, authorizerValues } from './authorizer.ts';

const strings = listType(stringType);
const stringMap = mapType(stringType, stringType);

const kindType = objectOf('kubernetes.GroupVersionKind', {
  group: stringType,
  version: stringType,
  kind: stringType,
});
const resourceType = objectOf('kubernetes.GroupVersionResource', {
  group: stringType,
  version: stringType,
  resource: stringType,
});
const userInfoType = objectOf('kubernetes.UserInfo', {
  username: stringType,
  uid: stringType,
  groups: strings,
  extra: mapType(stringType, strings),
});

/** `request`: what an AdmissionReview says of it, but for the uid and the objects. */
const requestType: CelType = objectOf('kubernetes.AdmissionRequest', {
  kind: kindType,
  resource: resourceType,
  subResource: stringType,
  requestKind: kindType,
  requestResource: resourceType,
  requestSubResource: stringType,
  name: stringType,
  namespace: stringType,
  operation: stringType,
  userInfo: userInfoType,
  dryRun: boolType,
  options: dynType,
});

/** `namespaceObject`: some fields are left out by design. */
const namespaceType: CelType = objectOf('kubernetes.Namespace', {
  metadata: objectOf('kubernetes.NamespaceMetadata', {
    name: stringType,
    generateName: stringType,
    namespace: stringType,
    labels: stringMap,
    annotations: stringMap,
    UID: stringType,
    creationTimestamp: timestampType,
    deletionGracePeriodSeconds: intType,
    deletionTimestamp: timestampType,
    generation: intType,
    resourceVersion: stringType,
    finalizers: strings,
  }),
  spec: objectOf('kubernetes.NamespaceSpec', { finalizers: strings }),
  status: objectOf('kubernetes.NamespaceStatus', {
    conditions: listType(
      objectOf('kubernetes.NamespaceCondition', {
        status: stringType,
        type: stringType,
        lastTransitionTime: timestampType,
        message: stringType,
        reason: stringType,
      }),
    ),
    phase: stringType,
  }),
});

export interface EnvironmentOptions {
  readonly params?: boolean;
  readonly authorizer?: boolean;
  /** Composed variables that may be read, by name. */
  readonly variables?: Readonly<Record<string, CelType>>;
  /** Types in place of `dyn`, where a policy is checked against the kinds that it matches. */
  readonly objectType?: CelType;
  readonly paramsType?: CelType;
}

/** Declarations for `compileCel`. */
export function declarations(options: EnvironmentOptions): Record<string, CelType> {
  return {
    object: options.objectType ?? dynType,
    oldObject: options.objectType ?? dynType,
    request: requestType,
    namespaceObject: namespaceType,
    ...(options.params === true ? { params: options.paramsType ?? dynType } : {}),
    ...(options.authorizer === true ? authorizerTypes : {}),
    ...(options.variables ? { variables: objectOf('kubernetes.variables', { ...options.variables }) } : {}),
  };
}

/** What expressions are evaluated over. */
export interface Inputs {
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
  /** As `requestFacts` gives it. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly admission: AdmissionRequest;
  readonly authorizer?: Authorizer;
  readonly params?: KubeObject | undefined;
  readonly namespace?: Namespace | undefined;
}

/** Values of the declared variables; absent objects are null. */
export function valuesOf(inputs: Inputs): Record<string, unknown> {
  const { object = null, oldObject = null, params = null, request, namespace, authorizer } = inputs;
  return {
    object,
    oldObject,
    params,
    request,
    namespaceObject: namespace ? shownNamespace(namespace) : null,
    ...(authorizer ? authorizerValues(inputs.admission, authorizer) : {}),
  };
}

/** Only what the type declares. */
function shownNamespace({ metadata, spec = {}, status = {} }: Namespace): unknown {
  const { ownerReferences: _owners, managedFields: _managers, selfLink: _link, ...shown } = metadata;
  return { metadata: shown, spec, status };
}
