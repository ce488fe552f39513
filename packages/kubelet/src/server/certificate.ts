import 'reflect-metadata';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import * as x509 from '@peculiar/x509';
import { algorithm, type CertificatePair, newKey, requestCertificate } from './certificate-request.ts';

export type { CertificatePair } from './certificate-request.ts';

/** The certificate that the kubelet's API shows; it may be replaced while the server runs. */
export interface ServingCertificate {
  current(): CertificatePair;
  /** Calls back with each new one; returns the function that ends it. */
  onChange(listener: (pair: CertificatePair) => void): () => void;
}

const day = 24 * 3600_000;
const selfSignedDays = 365;
const crypto = webcrypto;

/** A certificate that is given and never changes. */
export const fixedCertificate = (pair: CertificatePair): ServingCertificate => ({
  current: () => pair,
  onChange: () => () => undefined,
});

const alternativeNames = (names: readonly string[], addresses: readonly string[]): x509.JsonGeneralName[] => [
  ...[...new Set(names)].map((value): x509.JsonGeneralName => ({ type: 'dns', value })),
  ...[...new Set(addresses)].map((value): x509.JsonGeneralName => ({ type: 'ip', value })),
];

/** Writes a file whole or not at all, readable by its owner only. */
function writeSecret(path: string, content: string): void {
  writeFileSync(`${path}.new`, content, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Of the PEM blocks in a text, those whose label ends so. */
const blocks = (text: string, label: string): string =>
  [
    ...text.matchAll(
      new RegExp(`-----BEGIN (?:[A-Z]+ )?${label}-----[^-]+-----END (?:[A-Z]+ )?${label}-----`, 'g'),
    ),
  ]
    .map(([block]) => `${block}\n`)
    .join('');

/** Certificate and key may be in one file, as upstream's kubelet keeps what the cluster issued. */
function readPair(certPath: string, keyPath: string): CertificatePair | undefined {
  try {
    const pair = {
      cert: blocks(readFileSync(certPath, 'utf8'), 'CERTIFICATE'),
      key: blocks(readFileSync(keyPath, 'utf8'), 'PRIVATE KEY'),
    };
    const certificate = new X509Certificate(pair.cert);
    return certificate.checkPrivateKey(createPrivateKey(pair.key)) ? pair : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a certificate is within its time for another `marginMs` and names everything wanted. */
function serves(pair: CertificatePair, wanted: readonly string[], nowMs: number, marginMs: number): boolean {
  const certificate = new X509Certificate(pair.cert);
  if (Date.parse(certificate.validFrom) > nowMs || Date.parse(certificate.validTo) < nowMs + marginMs)
    return false;
  return wanted.every(
    (name) => certificate.checkHost(name) !== undefined || certificate.checkIP(name) !== undefined,
  );
}

/**
 * The certificate that a kubelet signs itself when nothing else is given: `kubelet.crt` and `kubelet.key` in
 * `folder`, as upstream names them. One that is there, in time and right is kept.
 */
export async function selfSignedCertificate(options: {
  folder: string;
  nodeName: string;
  addresses: readonly string[];
  clock?: Clock | undefined;
}): Promise<CertificatePair> {
  const { folder, nodeName } = options;
  const nowMs = (options.clock ?? systemClock).nowMs();
  const [certPath, keyPath] = [join(folder, 'kubelet.crt'), join(folder, 'kubelet.key')];
  const found = readPair(certPath, keyPath);
  if (found && serves(found, [nodeName, ...options.addresses], nowMs, 30 * day)) return found;
  const { keys, key } = await newKey();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex'),
      name: [{ CN: [`${nodeName}@${Math.floor(nowMs / 1000)}`] }],
      notBefore: new Date(nowMs - 5 * 60_000),
      notAfter: new Date(nowMs + selfSignedDays * day),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(alternativeNames([nodeName, hostname()], options.addresses)),
      ],
    },
    crypto,
  );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const pair = { cert: certificate.toString('pem') + '\n', key };
  writeSecret(keyPath, key);
  writeSecret(certPath, pair.cert);
  return pair;
}

/** Share of its life after which a certificate is renewed; spread, so that nodes do not all ask at once. */
const renewalShare = (): number => 0.7 + Math.random() * 0.2;
const firstRetryMs = 1_000;
const longestRetryMs = 15 * 60_000;

/** Serves a self-signed certificate until the cluster's signer has given one, and renews that. */
class RequestedCertificate implements ServingCertificate {
  readonly #options: ServingCertificateOptions;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #listeners = new Set<(pair: CertificatePair) => void>();
  readonly #ended = new AbortController();
  #pair: CertificatePair;
  #timer: ClockTimer | undefined;
  #retryMs = firstRetryMs;

  constructor(options: ServingCertificateOptions, selfSigned: CertificatePair) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#path = join(options.folder, 'kubelet-server-current.pem');
    const before = readPair(this.#path, this.#path);
    const kept = before && serves(before, options.addresses, this.#clock.nowMs(), 0) ? before : undefined;
    this.#pair = kept ?? selfSigned;
    this.#schedule(kept ? this.#renewalDelayMs(kept) : 0);
  }

  current(): CertificatePair {
    return this.#pair;
  }

  onChange(listener: (pair: CertificatePair) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    this.#timer?.cancel();
    this.#ended.abort();
  }

  #renewalDelayMs(pair: CertificatePair): number {
    const certificate = new X509Certificate(pair.cert);
    const from = Date.parse(certificate.validFrom);
    const life = Date.parse(certificate.validTo) - from;
    return Math.max(0, from + life * renewalShare() - this.#clock.nowMs());
  }

  #schedule(delayMs: number): void {
    // setTimeout holds 24.8 days; a longer wait is made of several.
    const step = Math.min(delayMs, 7 * day);
    this.#timer = this.#clock.setTimeout(() => {
      if (step < delayMs) this.#schedule(delayMs - step);
      else void this.#renew();
    }, step);
  }

  async #renew(): Promise<void> {
    try {
      const pair = await requestServing({
        ...this.#options,
        clock: this.#clock,
        signal: this.#ended.signal,
      });
      writeSecret(this.#path, pair.cert + pair.key);
      this.#pair = pair;
      this.#retryMs = firstRetryMs;
      for (const listener of this.#listeners) listener(pair);
      this.#options.log.info('the kubelet has a new serving certificate');
      this.#schedule(this.#renewalDelayMs(pair));
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.warn(
        { reason, retryMs: this.#retryMs },
        'no serving certificate from the cluster yet',
      );
      this.#schedule(this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
    }
  }
}

/** Asks the signer `kubernetes.io/kubelet-serving` for a certificate and waits until it is approved and issued. */
async function requestServing(
  options: ServingCertificateOptions & { clock: Clock; signal: AbortSignal },
): Promise<CertificatePair> {
  const { client, clock, nodeName, signal } = options;
  if (!client) throw new Error('no API server to ask');
  return requestCertificate({
    client,
    clock,
    signal,
    subject: [{ O: ['system:nodes'] }, { CN: [`system:node:${nodeName}`] }],
    alternativeNames: alternativeNames([nodeName], options.addresses),
    signerName: 'kubernetes.io/kubelet-serving',
    usages: ['digital signature', 'server auth'],
  });
}

export interface ServingCertificateOptions {
  /** `…/var/lib/kubelet/pki`. */
  folder: string;
  nodeName: string;
  /** Addresses of the node that the certificate names. */
  addresses: readonly string[];
  /** Files given in the configuration (`tlsCertFile`, `tlsPrivateKeyFile`); nothing else is done then. */
  files?: { certPath: string; keyPath: string } | undefined;
  /** `serverTLSBootstrap`: ask the cluster for a certificate. */
  fromCluster?: boolean | undefined;
  client?: KubeClient | undefined;
  clock?: Clock | undefined;
  log: Logger;
}

/**
 * Where the kubelet's serving certificate comes from (upstream: pkg/kubelet/certificate): given files, or the
 * cluster's signer with a self-signed one until it has answered, or self-signed alone.
 */
export async function startServingCertificate(
  options: ServingCertificateOptions,
): Promise<ServingCertificate & Running> {
  if (options.files) {
    const { certPath, keyPath } = options.files;
    const pair = readPair(certPath, keyPath);
    if (!pair) {
      throw new Error(
        `${certPath} and ${keyPath} are no certificate and its private key: correct tlsCertFile and tlsPrivateKeyFile`,
      );
    }
    return { ...fixedCertificate(pair), ...running(() => undefined) };
  }
  const selfSigned = await selfSignedCertificate(options);
  if (!options.fromCluster) return { ...fixedCertificate(selfSigned), ...running(() => undefined) };
  const requested = new RequestedCertificate(options, selfSigned);
  return {
    current: () => requested.current(),
    onChange: (listener) => requested.onChange(listener),
    ...running(() => requested.end()),
  };
}
