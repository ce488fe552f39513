/**
 * What Kubernetes 1.36 serves, as facts: group version, then a line per resource with plural, kind, scope
 * (N namespaced, C cluster) and subresources; `!create` stands for a resource that is computed, not stored. Groups
 * are in upstream's order of discovery. A test holds this against the interface facts in @cloudless/kube's data.
 */
const table = `
v1
  bindings Binding N !create
  configmaps ConfigMap N
  endpoints Endpoints N
  events Event N
  limitranges LimitRange N
  namespaces Namespace C finalize status
  nodes Node C status
  persistentvolumeclaims PersistentVolumeClaim N status
  persistentvolumes PersistentVolume C status
  pods Pod N attach binding ephemeralcontainers eviction exec log portforward resize status
  podtemplates PodTemplate N
  replicationcontrollers ReplicationController N scale status
  resourcequotas ResourceQuota N status
  secrets Secret N
  serviceaccounts ServiceAccount N token
  services Service N status
apiregistration.k8s.io/v1
  apiservices APIService C status
apps/v1
  controllerrevisions ControllerRevision N
  daemonsets DaemonSet N status
  deployments Deployment N scale status
  replicasets ReplicaSet N scale status
  statefulsets StatefulSet N scale status
events.k8s.io/v1
  events Event N
authentication.k8s.io/v1
  selfsubjectreviews SelfSubjectReview C !create
  tokenreviews TokenReview C !create
authorization.k8s.io/v1
  localsubjectaccessreviews LocalSubjectAccessReview N !create
  selfsubjectaccessreviews SelfSubjectAccessReview C !create
  selfsubjectrulesreviews SelfSubjectRulesReview C !create
  subjectaccessreviews SubjectAccessReview C !create
autoscaling/v2
  horizontalpodautoscalers HorizontalPodAutoscaler N status
autoscaling/v1
  horizontalpodautoscalers HorizontalPodAutoscaler N status
batch/v1
  cronjobs CronJob N status
  jobs Job N status
certificates.k8s.io/v1
  certificatesigningrequests CertificateSigningRequest C approval status
certificates.k8s.io/v1beta1
  clustertrustbundles ClusterTrustBundle C
  podcertificaterequests PodCertificateRequest N status
certificates.k8s.io/v1alpha1
  clustertrustbundles ClusterTrustBundle C
networking.k8s.io/v1
  ingressclasses IngressClass C
  ingresses Ingress N status
  ipaddresses IPAddress C
  networkpolicies NetworkPolicy N
  servicecidrs ServiceCIDR C status
networking.k8s.io/v1beta1
  ipaddresses IPAddress C
  servicecidrs ServiceCIDR C status
policy/v1
  poddisruptionbudgets PodDisruptionBudget N status
rbac.authorization.k8s.io/v1
  clusterrolebindings ClusterRoleBinding C
  clusterroles ClusterRole C
  rolebindings RoleBinding N
  roles Role N
storage.k8s.io/v1
  csidrivers CSIDriver C
  csinodes CSINode C
  csistoragecapacities CSIStorageCapacity N
  storageclasses StorageClass C
  volumeattachments VolumeAttachment C status
  volumeattributesclasses VolumeAttributesClass C
storage.k8s.io/v1beta1
  volumeattributesclasses VolumeAttributesClass C
admissionregistration.k8s.io/v1
  mutatingadmissionpolicies MutatingAdmissionPolicy C
  mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding C
  mutatingwebhookconfigurations MutatingWebhookConfiguration C
  validatingadmissionpolicies ValidatingAdmissionPolicy C status
  validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding C
  validatingwebhookconfigurations ValidatingWebhookConfiguration C
admissionregistration.k8s.io/v1beta1
  mutatingadmissionpolicies MutatingAdmissionPolicy C
  mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding C
admissionregistration.k8s.io/v1alpha1
  mutatingadmissionpolicies MutatingAdmissionPolicy C
  mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding C
apiextensions.k8s.io/v1
  customresourcedefinitions CustomResourceDefinition C status
scheduling.k8s.io/v1
  priorityclasses PriorityClass C
scheduling.k8s.io/v1alpha2
  podgroups PodGroup N status
  workloads Workload N
coordination.k8s.io/v1
  leases Lease N
coordination.k8s.io/v1beta1
  leasecandidates LeaseCandidate N
coordination.k8s.io/v1alpha2
  leasecandidates LeaseCandidate N
node.k8s.io/v1
  runtimeclasses RuntimeClass C
discovery.k8s.io/v1
  endpointslices EndpointSlice N
resource.k8s.io/v1
  deviceclasses DeviceClass C
  resourceclaims ResourceClaim N status
  resourceclaimtemplates ResourceClaimTemplate N
  resourceslices ResourceSlice C
resource.k8s.io/v1beta2
  devicetaintrules DeviceTaintRule C status
resource.k8s.io/v1alpha3
  devicetaintrules DeviceTaintRule C status
  resourcepoolstatusrequests ResourcePoolStatusRequest C status
flowcontrol.apiserver.k8s.io/v1
  flowschemas FlowSchema C status
  prioritylevelconfigurations PriorityLevelConfiguration C status
internal.apiserver.k8s.io/v1alpha1
  storageversions StorageVersion C status
storagemigration.k8s.io/v1beta1
  storageversionmigrations StorageVersionMigration C status
`;

export interface BuiltinResource {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  /** Computed by an endpoint; nothing is stored. */
  computed: boolean;
  subresources: readonly string[];
}

/**
 * Versions that are not upstream's choice for storage where a resource has several, or has one that its group's
 * newest version lacks (kubernetes/pkg/kubeapiserver/default_storage_factory_builder.go; the schemes' priorities).
 */
const storageVersions: Readonly<Record<string, string>> = {
  'admissionregistration.k8s.io/mutatingadmissionpolicies': 'v1beta1',
  'admissionregistration.k8s.io/mutatingadmissionpolicybindings': 'v1beta1',
  'autoscaling/horizontalpodautoscalers': 'v2',
  'certificates.k8s.io/clustertrustbundles': 'v1beta1',
  'coordination.k8s.io/leasecandidates': 'v1beta1',
  'networking.k8s.io/ipaddresses': 'v1',
  'networking.k8s.io/servicecidrs': 'v1',
  'resource.k8s.io/devicetaintrules': 'v1alpha3',
  'storage.k8s.io/volumeattributesclasses': 'v1',
};

/** Resources that share the storage of another group's (upstream: AddCohabitatingResources). */
const storedAs: Readonly<Record<string, string>> = { 'events.k8s.io/events': '/events' };

/** `group/plural` of the resource whose keys hold this one. */
export const storageResourceOf = (resource: { group: string; plural: string }): string => {
  const own = `${resource.group}/${resource.plural}`;
  return storedAs[own] ?? own;
};

/** The version in which a resource with several versions is stored; undefined: the only one. */
export const storageVersionOf = (groupPlural: string): string | undefined => storageVersions[groupPlural];

/** Every built-in resource of every version, in upstream's order. */
export function builtinResources(): BuiltinResource[] {
  const resources: BuiltinResource[] = [];
  let group = '';
  let version = '';
  for (const line of table.split('\n')) {
    if (line === '') continue;
    if (!line.startsWith(' ')) {
      const slash = line.indexOf('/');
      group = slash < 0 ? '' : line.slice(0, slash);
      version = line.slice(slash + 1);
      continue;
    }
    const [plural = '', kind = '', scope, ...rest] = line.trim().split(' ');
    const computed = rest[0] === '!create';
    const subresources = computed ? [] : rest;
    resources.push({ group, version, plural, kind, namespaced: scope === 'N', computed, subresources });
  }
  return resources;
}
