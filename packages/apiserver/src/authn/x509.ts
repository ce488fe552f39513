import { X509Certificate } from 'node:crypto';
import { errors } from '@cloudless/kube/status';
import type { Authenticated, Authenticator, Credentials } from './authenticator.ts';
import { certificateSubject } from './subject.ts';

const remembered = 1000;

/**
 * Client certificates: the common name is the user, organizations are the groups (upstream:
 * apiserver/pkg/authentication/request/x509, CommonNameUserConversion). TLS has verified the chain; what no known CA
 * signed, what is expired, and what is not for clients, is refused with 401, as upstream does.
 */
export function x509Authenticator(nowMs: () => number): Authenticator {
  const known = new Map<string, { answer: Authenticated; untilMs: number }>();
  return {
    authenticate(credentials: Credentials): Authenticated | undefined {
      const der = credentials.peerCertificate;
      if (!der || der.length === 0) return undefined;
      if (credentials.peerVerified !== true)
        throw errors.unauthorized(
          'Unauthorized: the client certificate is not signed by this cluster’s CA, or has expired',
        );
      const key = der.toString('latin1');
      const hit = known.get(key);
      if (hit) {
        if (nowMs() > hit.untilMs)
          throw errors.unauthorized('Unauthorized: the client certificate has expired');
        return hit.answer;
      }
      const certificate = new X509Certificate(der);
      const usages = (certificate as X509Certificate & { keyUsage?: string[] }).keyUsage;
      // 1.3.6.1.5.5.7.3.2 is clientAuth; a certificate without extended usages is for everything.
      if (usages && !usages.includes('1.3.6.1.5.5.7.3.2') && !usages.includes('2.5.29.37.0'))
        throw errors.unauthorized('Unauthorized: the certificate is not for client authentication');
      const { commonName: name, organizations } = certificateSubject(der);
      if (name === '') return undefined;
      const answer: Authenticated = {
        user: Object.freeze({
          name,
          groups: Object.freeze([...organizations, 'system:authenticated']),
          extra: Object.freeze({
            'authentication.kubernetes.io/credential-id': Object.freeze([
              `X509SHA256=${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`,
            ]),
          }),
        }),
      };
      if (known.size >= remembered) known.delete(known.keys().next().value as string);
      known.set(key, { answer, untilMs: certificate.validToDate.getTime() });
      return answer;
    },
  };
}
