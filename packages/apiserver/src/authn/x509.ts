import { X509Certificate } from 'node:crypto';
import { errors } from '@cloudless/kube/status';
import type { Authenticated, Authenticator, Credentials } from './authenticator.ts';

const remembered = 1000;

/** One attribute of a distinguished name as Node prints it, a line each; `+` joins several in one line. */
function attributes(subject: string, name: string): string[] {
  return subject
    .split('\n')
    .flatMap((line) => line.split(/(?<!\\)\+/))
    .filter((part) => part.startsWith(`${name}=`))
    .map((part) => part.slice(name.length + 1).replace(/\\(.)/g, '$1'));
}

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
      const [name] = attributes(certificate.subject ?? '', 'CN');
      if (name === undefined || name === '') return undefined;
      const answer: Authenticated = {
        user: Object.freeze({
          name,
          groups: Object.freeze([...attributes(certificate.subject, 'O'), 'system:authenticated']),
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
