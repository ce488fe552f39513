import type { Resource } from '@cloudless/kube/object';
import type {
  ExpressionWarning,
  NamedRuleWithOperations,
  ValidatingAdmissionPolicy,
} from '@cloudless/kube/types/admissionregistration-v1';
import { type CelType, typeOfKind, typeOfSchema } from '../../cel/index.ts';
import type { Catalogue } from '../../registry/catalogue.ts';
import { Expression } from '../expressions/expression.ts';
import { Variables } from '../expressions/variables.ts';
import { kindOfParams } from './params.ts';

/** Upstream looks at no more kinds of a rule. */
const maxKinds = 10;

interface TypedKind {
  readonly text: string;
  readonly type: CelType;
}

/** The type of a served resource's objects; undefined where nothing is known of them. */
function typeOf(catalogue: Catalogue, { group, version, plural, kind }: Resource): CelType | undefined {
  const custom = catalogue.find(group, version, plural)?.custom;
  return custom ? typeOfSchema(custom.schema, { resourceRoot: true }) : typeOfKind({ group, version, kind });
}

const sortKey = ({ group, version, kind }: Resource): string => `${group}\0${version}\0${kind}`;

/** Kinds that a rule names outright. */
function kindsOf(catalogue: Catalogue, rule: NamedRuleWithOperations): Resource[] {
  const { apiGroups: groups = [], apiVersions: versions = [], resources = [] } = rule;
  if ([...groups, ...versions].some((text) => text.includes('*'))) return [];
  const plain = resources.filter((text) => !/[*/]/.test(text));
  const found = [...groups]
    .sort()
    .flatMap((group) =>
      [...versions]
        .sort()
        .flatMap((version) => [...plain].sort().map((plural) => catalogue.find(group, version, plural))),
    )
    .flatMap((served) => (served ? [served.resource] : []));
  return found.slice(0, maxKinds);
}

/** What CEL's compiler says of an expression over typed objects, without what upstream adds when it runs. */
function problemOf(expression: string, declared: Record<string, CelType>): string | undefined {
  const { problem } = new Expression(expression, declared, []);
  return problem?.replace(/^compilation failed: /, '');
}

/**
 * What may be wrong with a policy's expressions for the kinds that its rules name (upstream: validating/typechecking.go).
 * Never a reason to refuse it: the policy counts whatever this says.
 */
export function typeWarnings(catalogue: Catalogue, policy: ValidatingAdmissionPolicy): ExpressionWarning[] {
  const { matchConstraints, paramKind, variables = [], validations = [] } = policy.spec ?? {};
  const kinds = new Map<string, Resource>();
  for (const rule of matchConstraints?.resourceRules ?? [])
    for (const resource of kindsOf(catalogue, rule)) kinds.set(sortKey(resource), resource);
  const typed = [...kinds]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, resource]): TypedKind[] => {
      const type = typeOf(catalogue, resource);
      const { group, version, kind } = resource;
      return type ? [{ text: `${group}/${version}, Kind=${kind}`, type }] : [];
    });
  if (typed.length === 0) return [];
  const params = paramKind && kindOfParams(paramKind);
  const paramResource = params && catalogue.byKind(params.group, params.version, params.kind)?.resource;
  const paramsType = paramResource && typeOf(catalogue, paramResource);
  const environments = typed.map(({ text, type }) => {
    const options = {
      authorizer: true,
      params: params !== undefined,
      objectType: type,
      ...(paramsType ? { paramsType } : {}),
    };
    return { text, declared: new Variables(variables, options).declarations(options) };
  });
  const check = (expression: string, fieldRef: string): ExpressionWarning[] => {
    const found = environments.flatMap(({ text, declared }) => {
      const problem = problemOf(expression, declared);
      return problem === undefined ? [] : [`${text}: ${problem}\n`];
    });
    return found.length === 0 ? [] : [{ fieldRef, warning: found.join('\n') }];
  };
  return validations.flatMap(({ expression, messageExpression }, i) => {
    const at = `spec.validations[${i}]`;
    return [
      ...check(expression, `${at}.expression`),
      ...(messageExpression ? check(messageExpression, `${at}.messageExpression`) : []),
    ];
  });
}
