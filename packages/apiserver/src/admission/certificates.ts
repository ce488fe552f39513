import { isDeepStrictEqual } from 'node:util';
import type { Resource } from '@cloudless/kube/object';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import type { UserInfo } from '@cloudless/kube/user';
import { requestedSubject } from '../authn/subject.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import { forbidden } from './forbid.ts';
import type { AdmissionPlugin } from './plugin.ts';

const isRequest = (resource: Resource): boolean =>
  resource.group === 'certificates.k8s.io' && resource.plural === 'certificatesigningrequests';

/** May the user act for the signer, by its own name or by `DOMAIN/*`? */
function mayFor(authorizer: Authorizer, user: UserInfo, verb: string, signerName: string): boolean {
  const domain = `${signerName.split('/')[0] ?? ''}/*`;
  return [signerName, domain].some(
    (name) =>
      authorizer.authorize({
        user,
        isResource: true,
        verb,
        path: '',
        apiPrefix: 'apis',
        group: 'certificates.k8s.io',
        version: '*',
        namespace: '',
        resource: 'signers',
        subresource: '',
        name,
      }).verdict === 'allow',
  );
}

/** Approving needs `approve` on the signer (upstream: plugin/pkg/admission/certificates/approval). */
export const certificateApproval = (authorizer: Authorizer): AdmissionPlugin => ({
  name: 'CertificateApproval',
  handles: (operation, resource, subresource) =>
    operation === 'UPDATE' && isRequest(resource) && subresource === 'approval',
  validate(request) {
    // The stored one: the new one may name another signer.
    const { signerName } = (request.oldObject as CertificateSigningRequest).spec;
    if (!mayFor(authorizer, request.user, 'approve', signerName))
      throw forbidden(
        request,
        `user not permitted to approve requests with signerName ${JSON.stringify(signerName)}`,
      );
  },
});

/** Issuing needs `sign` on the signer (upstream: plugin/pkg/admission/certificates/signing). */
export const certificateSigning = (authorizer: Authorizer): AdmissionPlugin => ({
  name: 'CertificateSigning',
  handles: (operation, resource, subresource) =>
    operation === 'UPDATE' && isRequest(resource) && subresource === 'status',
  validate(request) {
    const old = request.oldObject as CertificateSigningRequest;
    const now = request.object as CertificateSigningRequest;
    const same =
      old.status?.certificate === now.status?.certificate &&
      isDeepStrictEqual(old.status?.conditions ?? [], now.status?.conditions ?? []);
    const { signerName } = old.spec;
    if (!same && !mayFor(authorizer, request.user, 'sign', signerName))
      throw forbidden(
        request,
        `user not permitted to sign requests with signerName ${JSON.stringify(signerName)}`,
      );
  },
});

const clientSigner = 'kubernetes.io/kube-apiserver-client';

/** No client certificate for system:masters by way of the API (upstream: certificates/subjectrestriction). */
export const certificateSubjectRestriction: AdmissionPlugin = {
  name: 'CertificateSubjectRestriction',
  handles: (operation, resource, subresource) =>
    operation === 'CREATE' && isRequest(resource) && subresource === '',
  validate(request) {
    const { spec } = request.object as CertificateSigningRequest;
    if (spec.signerName !== clientSigner) return;
    let organizations: string[];
    try {
      ({ organizations } = requestedSubject(spec.request));
    } catch (error) {
      throw forbidden(
        request,
        `could not parse CSR: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    if (organizations.includes('system:masters'))
      throw forbidden(request, `use of ${clientSigner} signer with system:masters group is not allowed`);
  },
};
