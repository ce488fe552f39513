import 'reflect-metadata';
import { createPublicKey, webcrypto, X509Certificate } from 'node:crypto';
import { type Clock, sleep } from '@cloudless/kube/clock';
import type { KubeClient } from '@cloudless/kube/client/client';
import { certificates } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import * as x509 from '@peculiar/x509';

/** Certificate chain and key, PEM. */
export interface CertificatePair {
  cert: string;
  key: string;
}

export const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const crypto = webcrypto;
const signedWithinMs = 15 * 60_000;
/** Pause before a watch that has ended is opened again. */
const rewatchMs = 1_000;

const pem = (label: string, der: ArrayBuffer): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n')}\n-----END ${label}-----\n`;

/** A key pair, and its private key as PEM. */
export async function newKey(): Promise<{ keys: webcrypto.CryptoKeyPair; key: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  return { keys, key: pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey)) };
}

export interface CertificateRequestOptions {
  client: KubeClient;
  clock: Clock;
  signal: AbortSignal;
  subject: x509.JsonName;
  alternativeNames?: x509.JsonGeneralName[];
  signerName: string;
  usages: readonly string[];
  expirationSeconds?: number;
}

/**
 * Makes a key, asks a signer of the cluster for a certificate of it, and waits until that is approved and issued, for
 * 15 minutes at most. Throws with the request's name when it is refused or not approved in time.
 */
export async function requestCertificate(options: CertificateRequestOptions): Promise<CertificatePair> {
  const { client, signal, alternativeNames = [], expirationSeconds } = options;
  const { keys, key } = await newKey();
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: options.subject,
      keys,
      signingAlgorithm: algorithm,
      extensions:
        alternativeNames.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternativeNames)],
    },
    crypto,
  );
  const created = await client.create(
    certificates.certificatesigningrequests,
    {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: 'csr-' },
      spec: {
        request: Buffer.from(request.toString('pem')).toString('base64'),
        signerName: options.signerName,
        usages: [...options.usages],
        ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
      },
    },
    { signal },
  );
  const issued = await issuedCertificate({ ...options, request: created });
  const ours = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const theirs = new X509Certificate(issued).publicKey.export({ type: 'spki', format: 'der' });
  if (!ours.equals(theirs)) throw new Error(`the certificate in ${created.metadata.name} is for another key`);
  return { cert: issued.endsWith('\n') ? issued : `${issued}\n`, key };
}

/** The certificate in a request's status, or undefined while there is none; throws when it was refused. */
function certificateIn({ metadata, status }: CertificateSigningRequest): string | undefined {
  const refused = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed');
  if (refused) {
    throw new Error(
      `the request ${metadata.name} was ${refused.type.toLowerCase()}: ${refused.message ?? refused.reason ?? ''}`,
    );
  }
  return status?.certificate ? Buffer.from(status.certificate, 'base64').toString('utf8') : undefined;
}

/** Watches a request until its certificate is there. */
async function issuedCertificate(options: {
  client: KubeClient;
  clock: Clock;
  signal: AbortSignal;
  request: CertificateSigningRequest;
}): Promise<string> {
  const { client, clock, request } = options;
  const name = request.metadata.name ?? '';
  const late = new AbortController();
  const timer = clock.setTimeout(() => late.abort(), signedWithinMs);
  const signal = AbortSignal.any([options.signal, late.signal]);
  try {
    while (!signal.aborted) {
      try {
        const current = await client.get(certificates.certificatesigningrequests, name, { signal });
        const already = certificateIn(current);
        if (already !== undefined) return already;
        const events = client.watch(certificates.certificatesigningrequests, {
          fieldSelector: `metadata.name=${name}`,
          resourceVersion: current.metadata.resourceVersion,
          signal,
        });
        for await (const { type, object } of events) {
          if (type === 'BOOKMARK') continue;
          const found = type === 'DELETED' ? undefined : certificateIn(object);
          if (found !== undefined) return found;
        }
      } catch (error) {
        if (signal.aborted || !(error instanceof StatusError)) throw error;
        if (error.reason === 'NotFound') throw error;
      }
      await sleep(clock, rewatchMs, signal);
    }
    throw new Error('not approved in time');
  } catch (error) {
    if (!late.signal.aborted) throw error;
    throw new Error(
      `the request ${name} was not approved; approve it with: kubectl certificate approve ${name}`,
      { cause: error },
    );
  } finally {
    timer.cancel();
  }
}
