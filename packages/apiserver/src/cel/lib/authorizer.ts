/**
 * Questions to the authorizer (apiserver/pkg/cel/library/authz.go):
 * `authorizer.group('').resource('pods').namespace('x').check('get').allowed()`. Who asks, and who answers, is given
 * with the value of the variable.
 */
import { isDns1123Label, isDns1123Subdomain } from '../../registry/validation/names.ts';
import { method, type Overload } from '../check/functions.ts';
import { CelOpaque, type CelValue, fail } from '../run/values.ts';
import { boolType, type CelType, nominalType, stringType } from '../types.ts';

export const authorizerType: CelType = nominalType('kubernetes.authorization.Authorizer');
export const pathCheckType: CelType = nominalType('kubernetes.authorization.PathCheck');
export const groupCheckType: CelType = nominalType('kubernetes.authorization.GroupCheck');
export const resourceCheckType: CelType = nominalType('kubernetes.authorization.ResourceCheck');
export const decisionType: CelType = nominalType('kubernetes.authorization.Decision');

/** What an expression asks about a resource. Empty texts: not given. */
export interface ResourceQuestion {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly fieldSelector: string;
  readonly labelSelector: string;
}

export interface PathQuestion {
  readonly verb: string;
  readonly path: string;
}

export interface Answer {
  readonly allowed: boolean;
  readonly reason: string;
  /** Set where the question could not be decided. */
  readonly error?: string;
}

/** Answers for one user: that of the request, or a service account that the expression names. */
export interface QuestionedAuthorizer {
  resource(question: ResourceQuestion): Answer;
  path(question: PathQuestion): Answer;
  serviceAccount(namespace: string, name: string): QuestionedAuthorizer;
}

abstract class Check extends CelOpaque {
  override equals(other: CelOpaque): boolean {
    return other === this;
  }
}

class AuthorizerValue extends Check {
  override readonly typeName = 'kubernetes.authorization.Authorizer';
  readonly asked: QuestionedAuthorizer;

  constructor(asked: QuestionedAuthorizer) {
    super();
    this.asked = asked;
  }
}

class PathCheck extends Check {
  override readonly typeName = 'kubernetes.authorization.PathCheck';
  readonly asked: QuestionedAuthorizer;
  readonly path: string;

  constructor(asked: QuestionedAuthorizer, path: string) {
    super();
    this.asked = asked;
    this.path = path;
  }
}

class GroupCheck extends Check {
  override readonly typeName = 'kubernetes.authorization.GroupCheck';
  readonly asked: QuestionedAuthorizer;
  readonly group: string;

  constructor(asked: QuestionedAuthorizer, group: string) {
    super();
    this.asked = asked;
    this.group = group;
  }
}

type Asked = Omit<ResourceQuestion, 'verb'>;

class ResourceCheck extends Check {
  override readonly typeName = 'kubernetes.authorization.ResourceCheck';
  readonly asked: QuestionedAuthorizer;
  readonly question: Asked;

  constructor(asked: QuestionedAuthorizer, question: Asked) {
    super();
    this.asked = asked;
    this.question = question;
  }

  with(more: Partial<Asked>): ResourceCheck {
    return new ResourceCheck(this.asked, { ...this.question, ...more });
  }
}

class DecisionValue extends Check {
  override readonly typeName = 'kubernetes.authorization.Decision';
  readonly answer: Answer;

  constructor(answer: Answer) {
    super();
    this.answer = answer;
  }
}

const anyResource: Omit<Asked, 'group' | 'resource'> = {
  subresource: '',
  namespace: '',
  name: '',
  fieldSelector: '',
  labelSelector: '',
};

/** The value of the variable `authorizer`. */
export const authorizerValue = (asked: QuestionedAuthorizer): CelValue => new AuthorizerValue(asked);

/** The value of `authorizer.requestResource`: the resource of the request itself. */
export const resourceCheckValue = (
  asked: QuestionedAuthorizer,
  question: Partial<Asked> & Pick<Asked, 'group' | 'resource'>,
): CelValue => new ResourceCheck(asked, { ...anyResource, ...question });

function serviceAccount({ asked }: AuthorizerValue, namespace: string, name: string): CelValue {
  if (isDns1123Subdomain(name).length > 0) return fail('Invalid service account name');
  if (isDns1123Label(namespace).length > 0) return fail('Invalid service account namespace');
  return new AuthorizerValue(asked.serviceAccount(namespace, name));
}

const refine = (name: keyof Asked, id: string): Overload =>
  method(
    name,
    id,
    [resourceCheckType, stringType],
    resourceCheckType,
    (check: ResourceCheck, value: string) => check.with({ [name]: value }),
  );

const told = <T extends boolean | string>(
  name: string,
  type: CelType,
  get: (answer: Answer) => T,
): Overload =>
  method(name, `decision_${name}`, [decisionType], type, (decision: DecisionValue) => get(decision.answer));

export const authorizerLibrary: readonly Overload[] = [
  method(
    'path',
    'authorizer_path',
    [authorizerType, stringType],
    pathCheckType,
    ({ asked }: AuthorizerValue, path: string) =>
      path.trim() === '' ? fail('path must not be empty') : new PathCheck(asked, path),
  ),
  method(
    'group',
    'authorizer_group',
    [authorizerType, stringType],
    groupCheckType,
    ({ asked }: AuthorizerValue, group: string) => new GroupCheck(asked, group),
  ),
  method(
    'serviceAccount',
    'authorizer_serviceaccount',
    [authorizerType, stringType, stringType],
    authorizerType,
    serviceAccount,
  ),
  method(
    'resource',
    'groupcheck_resource',
    [groupCheckType, stringType],
    resourceCheckType,
    ({ asked, group }: GroupCheck, resource: string) =>
      resource.trim() === ''
        ? fail('resource must not be empty')
        : new ResourceCheck(asked, { ...anyResource, group, resource }),
  ),
  refine('subresource', 'resourcecheck_subresource'),
  refine('namespace', 'resourcecheck_namespace'),
  refine('name', 'resourcecheck_name'),
  refine('fieldSelector', 'authorizer_fieldselector'),
  refine('labelSelector', 'authorizer_labelselector'),
  method(
    'check',
    'pathcheck_check',
    [pathCheckType, stringType],
    decisionType,
    ({ asked, path }: PathCheck, verb: string) => new DecisionValue(asked.path({ verb, path })),
  ),
  method(
    'check',
    'resourcecheck_check',
    [resourceCheckType, stringType],
    decisionType,
    ({ asked, question }: ResourceCheck, verb: string) =>
      new DecisionValue(asked.resource({ ...question, verb })),
  ),
  told('errored', boolType, (answer) => answer.error !== undefined),
  told('error', stringType, (answer) => answer.error ?? ''),
  told('allowed', boolType, (answer) => answer.allowed),
  told('reason', stringType, (answer) => answer.reason),
];
