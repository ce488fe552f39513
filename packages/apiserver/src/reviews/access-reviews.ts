import { type FieldError, FieldPath, fieldErrors } from '@cloudless/kube/field';
import { authorization } from '@cloudless/kube/resources';
import { escapeFieldValue, parseFieldSelector, parseLabelSelector } from '@cloudless/kube/selector/selector';
import { errors } from '@cloudless/kube/status';
import type {
  LocalSubjectAccessReview,
  ResourceAttributes,
  SelfSubjectAccessReview,
  SelfSubjectAccessReviewSpec,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
  SubjectAccessReviewStatus,
} from '@cloudless/kube/types/authorization-v1';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';
import type { UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import type { Attributes } from '../request/info.ts';

const spec = FieldPath.of('spec');

function selectorErrors(attributes: ResourceAttributes | undefined): FieldError[] {
  const path = spec.child('resourceAttributes');
  return (['fieldSelector', 'labelSelector'] as const).flatMap((name) => {
    const selector = attributes?.[name];
    if (!selector) return [];
    const raw = selector.rawSelector ?? '';
    const count = selector.requirements?.length ?? 0;
    const at = path.child(name);
    if (raw !== '' && count > 0)
      return [
        fieldErrors.invalid(
          at.child('rawSelector'),
          raw,
          'may not specified at the same time as requirements',
        ),
      ];
    if (raw === '' && count === 0)
      return [
        fieldErrors.required(
          at.child('requirements'),
          `when ${at.toString()} is specified, requirements or rawSelector is required`,
        ),
      ];
    return [];
  });
}

/** Upstream: pkg/apis/authorization/validation. */
function attributeErrors(of: SelfSubjectAccessReviewSpec): FieldError[] {
  const { resourceAttributes, nonResourceAttributes } = of;
  const found: FieldError[] = [];
  if (resourceAttributes && nonResourceAttributes)
    found.push(
      fieldErrors.invalid(
        spec.child('nonResourceAttributes'),
        nonResourceAttributes,
        'cannot be specified in combination with resourceAttributes',
      ),
    );
  if (!resourceAttributes && !nonResourceAttributes)
    found.push(
      fieldErrors.invalid(
        spec.child('resourceAttributes'),
        null,
        'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      ),
    );
  return [...found, ...selectorErrors(resourceAttributes)];
}

function subjectErrors(of: SubjectAccessReviewSpec): FieldError[] {
  return (of.user ?? '') === '' && (of.groups ?? []).length === 0
    ? [
        fieldErrors.invalid(
          spec.child('user'),
          of.user ?? '',
          'at least one of user or group must be specified',
        ),
      ]
    : [];
}

function metadataErrors(metadata: ObjectMeta | undefined, text: string): FieldError[] {
  const set = Object.entries(metadata ?? {}).filter(
    ([key, value]) => key !== 'managedFields' && value !== undefined,
  );
  return set.length === 0 ? [] : [fieldErrors.invalid(FieldPath.of('metadata'), metadata, text)];
}

/** Upstream names no kind here. */
function refuse(found: FieldError[]): void {
  if (found.length > 0) throw errors.invalid({ group: 'authorization.k8s.io', kind: '' }, '', found);
}

interface Selectors {
  fieldSelector?: string;
  labelSelector?: string;
  problems: string[];
}

/** Selectors as text. What cannot be understood is left out, which only asks for more, and told. */
function selectorsOf(attributes: ResourceAttributes): Selectors {
  const found: Selectors = { problems: [] };
  const attempt = (make: () => void): void => {
    try {
      make();
    } catch (error) {
      found.problems.push(error instanceof Error ? error.message : String(error));
    }
  };
  const { fieldSelector, labelSelector } = attributes;
  if (fieldSelector?.rawSelector)
    attempt(
      () => void (found.fieldSelector = parseFieldSelector(fieldSelector.rawSelector as string).toString()),
    );
  const terms: string[] = [];
  for (const { key, operator, values = [] } of fieldSelector?.requirements ?? []) {
    if (values.length > 1) found.problems.push('fieldSelectors do not yet support multiple values');
    else if (operator !== 'In' && operator !== 'NotIn')
      found.problems.push(
        operator === 'Exists' || operator === 'DoesNotExist'
          ? `fieldSelectors do not yet support ${operator}`
          : `"${operator}" is not a valid field selector operator`,
      );
    else if (values.length === 0)
      found.problems.push(`fieldSelectors ${operator === 'In' ? 'in' : 'not in'} must have one value`);
    else terms.push(`${key}${operator === 'In' ? '=' : '!='}${escapeFieldValue(values[0] as string)}`);
  }
  if (terms.length > 0) found.fieldSelector = terms.join(',');
  if (labelSelector?.rawSelector)
    attempt(
      () => void (found.labelSelector = parseLabelSelector(labelSelector.rawSelector as string).toString()),
    );
  return found;
}

function attributesOf(
  user: UserInfo,
  of: SelfSubjectAccessReviewSpec,
): { attributes: Attributes; problems: string[] } {
  const resource = of.resourceAttributes;
  const { problems, ...selectors } = resource ? selectorsOf(resource) : { problems: [] };
  const attributes: Attributes = {
    user,
    isResource: resource !== undefined,
    verb: (resource ? resource.verb : of.nonResourceAttributes?.verb) ?? '',
    path: of.nonResourceAttributes?.path ?? '',
    apiPrefix: '',
    group: resource?.group ?? '',
    version: resource?.version || '*',
    namespace: resource?.namespace ?? '',
    resource: resource?.resource ?? '',
    subresource: resource?.subresource ?? '',
    name: resource?.name ?? '',
    ...selectors,
  };
  return { attributes, problems };
}

function judge(
  authorizer: Authorizer,
  user: UserInfo,
  of: SelfSubjectAccessReviewSpec,
): SubjectAccessReviewStatus {
  const { attributes, problems } = attributesOf(user, of);
  const { verdict, reason } = authorizer.authorize(attributes);
  return {
    allowed: verdict === 'allow',
    ...(verdict === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
    ...(problems.length === 0 ? {} : { evaluationError: problems.join(', ') }),
  };
}

const subjectOf = (of: SubjectAccessReviewSpec): UserInfo => ({
  name: of.user ?? '',
  groups: of.groups ?? [],
  ...(of.uid === undefined ? {} : { uid: of.uid }),
  ...(of.extra === undefined ? {} : { extra: of.extra }),
});

const bodyOf = (kind: string) => ({ group: 'authorization.k8s.io', version: 'v1', kind });

/** `subjectaccessreviews` and its two variants: what the authorizer would say. */
export function accessReviewEndpoints(authorizer: Authorizer): Endpoint[] {
  return [
    {
      resource: authorization.subjectaccessreviews,
      subresource: '',
      body: bodyOf('SubjectAccessReview'),
      handle(_context, body) {
        const review = body as SubjectAccessReview;
        review.spec ??= {};
        refuse([
          ...attributeErrors(review.spec),
          ...subjectErrors(review.spec),
          ...metadataErrors(review.metadata, 'must be empty'),
        ]);
        return { ...review, status: judge(authorizer, subjectOf(review.spec), review.spec) };
      },
    },
    {
      resource: authorization.localsubjectaccessreviews,
      subresource: '',
      body: bodyOf('LocalSubjectAccessReview'),
      handle({ namespace }, body) {
        const review = body as LocalSubjectAccessReview;
        review.spec ??= {};
        const { namespace: given, ...rest } = review.metadata;
        if (given !== undefined && given !== '' && given !== namespace)
          throw errors.badRequest(
            'the namespace of the provided object does not match the namespace sent on the request',
          );
        refuse([
          ...attributeErrors(review.spec),
          ...subjectErrors(review.spec),
          ...metadataErrors(rest, 'must be empty except for namespace'),
          ...localErrors(review.spec, namespace),
        ]);
        return { ...review, status: judge(authorizer, subjectOf(review.spec), review.spec) };
      },
    },
    {
      resource: authorization.selfsubjectaccessreviews,
      subresource: '',
      body: bodyOf('SelfSubjectAccessReview'),
      handle({ user }, body) {
        const review = body as SelfSubjectAccessReview;
        review.spec ??= {};
        refuse([...attributeErrors(review.spec), ...metadataErrors(review.metadata, 'must be empty')]);
        return { ...review, status: judge(authorizer, user, review.spec) };
      },
    },
  ];
}

function localErrors(of: SubjectAccessReviewSpec, namespace: string): FieldError[] {
  const found: FieldError[] = [];
  const asked = of.resourceAttributes?.namespace ?? '';
  if (of.resourceAttributes && asked !== namespace)
    found.push(
      fieldErrors.invalid(
        spec.child('resourceAttributes', 'namespace'),
        asked,
        'must match metadata.namespace',
      ),
    );
  if (of.nonResourceAttributes)
    found.push(
      fieldErrors.invalid(
        spec.child('nonResourceAttributes'),
        of.nonResourceAttributes,
        'disallowed on this kind of request',
      ),
    );
  return found;
}
