import { serviceAccountUser, type UserInfo } from '@cloudless/kube/user';
import type { Authorizer } from '../../authz/authorizer.ts';
import {
  authorizerType,
  authorizerValue,
  type QuestionedAuthorizer,
  resourceCheckType,
  resourceCheckValue,
} from '../../cel/lib/authorizer.ts';
import type { CelType } from '../../cel/types.ts';
import type { Attributes } from '../../request/info.ts';
import { namespaceOf } from '../matching/selectors.ts';
import type { AdmissionRequest } from '../plugin.ts';

/** `authorizer` and `authorizer.requestResource`. */
export const authorizerTypes: Record<string, CelType> = {
  authorizer: authorizerType,
  'authorizer.requestResource': resourceCheckType,
};

/** Asks the server's authorizer about one user. */
class Questions implements QuestionedAuthorizer {
  readonly #authorizer: Authorizer;
  readonly #user: UserInfo;

  constructor(authorizer: Authorizer, user: UserInfo) {
    this.#authorizer = authorizer;
    this.#user = user;
  }

  resource(question: Parameters<QuestionedAuthorizer['resource']>[0]) {
    const { fieldSelector, labelSelector, ...what } = question;
    return this.#ask({
      ...what,
      isResource: true,
      version: '*',
      path: '',
      ...(fieldSelector === '' ? {} : { fieldSelector }),
      ...(labelSelector === '' ? {} : { labelSelector }),
    });
  }

  path({ verb, path }: Parameters<QuestionedAuthorizer['path']>[0]) {
    return this.#ask({ isResource: false, verb, path });
  }

  serviceAccount(namespace: string, name: string): QuestionedAuthorizer {
    return new Questions(this.#authorizer, serviceAccountUser(namespace, name));
  }

  #ask(what: Partial<Attributes>) {
    const { verdict, reason } = this.#authorizer.authorize({
      isResource: true,
      verb: '',
      path: '',
      apiPrefix: '',
      group: '',
      version: '',
      namespace: '',
      resource: '',
      subresource: '',
      name: '',
      user: this.#user,
      ...what,
    });
    return { allowed: verdict === 'allow', reason };
  }
}

/** Their values: the user of the request asks, by default about what the request is for. */
export function authorizerValues(request: AdmissionRequest, authorizer: Authorizer): Record<string, unknown> {
  const asked = new Questions(authorizer, request.user);
  const { resource, subresource, name } = request;
  const namespace = namespaceOf(request);
  return {
    authorizer: authorizerValue(asked),
    'authorizer.requestResource': resourceCheckValue(asked, {
      group: resource.group,
      resource: resource.plural,
      subresource,
      namespace,
      name,
    }),
  };
}
