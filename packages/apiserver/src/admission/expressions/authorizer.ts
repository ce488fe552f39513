import type { Authorizer } from '../../authz/authorizer.ts';
import type { CelType } from '../../cel/types.ts';
import type { AdmissionRequest } from '../plugin.ts';

/** `authorizer` and `authorizer.requestResource`: types of the authorization library. */
export const authorizerTypes: Record<string, CelType> = {};

export function authorizerValues(
  _request: AdmissionRequest,
  _authorizer: Authorizer,
): Record<string, unknown> {
  return {};
}
