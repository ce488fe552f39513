import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { Kubeconfig } from '@cloudless/kube/client/kubeconfig';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { startInformer } from '@cloudless/kube/informer/informer';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { requestCertificate } from '@cloudless/kubelet/server/certificate-request';
import { metallb } from '@cloudless/loadbalancer/config/kinds';
import { speakerSigner, speakersGroup, speakerUser } from './names.ts';

export interface SpeakerCredentialsOptions {
  /** The node's. */
  client: KubeClient;
  /** Where the API server is and its CA, as the node's kubeconfig has them. */
  server: Pick<Kubeconfig, 'server' | 'ca' | 'tlsServerName'>;
  nodeName: string;
  /** Of the speaker's kubeconfig, certificate and key. */
  folder: string;
  clock: Clock;
  log: Logger;
  /** There is something to announce. Called once. */
  onNeeded(): void;
  /** Give credentials whether there is a pool or not: a file is announced already. */
  atOnce: boolean;
}

/** A day: who takes a node over has its speaker's rights no longer than that. */
const lifeSeconds = 24 * 3600;
const firstRetryMs = 1000;
const longestRetryMs = 60_000;

/**
 * Waits for the first IPAddressPool, then keeps a certificate for this node's speaker in `folder`, renewed at half of its
 * life, and a kubeconfig that names it.
 */
export function keepSpeakerCredentials(options: SpeakerCredentialsOptions): Running {
  const { client, clock, log } = options;
  const ended = new AbortController();
  let timer: ClockTimer | undefined;
  let retryMs = firstRetryMs;
  const pools = startInformer({ client, resource: metallb.ipAddressPools, clock, log, signal: ended.signal });
  const schedule = (delayMs: number): void => {
    if (!ended.signal.aborted) timer = clock.setTimeout(() => void renew(), delayMs);
  };
  const renew = async (): Promise<void> => {
    try {
      const leftMs = certificateLeftMs(options.folder, options.nodeName, clock.nowMs());
      if (leftMs <= (lifeSeconds / 2) * 1000) await fetchCertificate(options, ended.signal);
      writeKubeconfig(options);
      retryMs = firstRetryMs;
      options.onNeeded();
      schedule(
        Math.max(
          firstRetryMs,
          certificateLeftMs(options.folder, options.nodeName, clock.nowMs()) - (lifeSeconds / 2) * 1000,
        ),
      );
    } catch (error) {
      if (ended.signal.aborted) return;
      log.warn({ err: error, retryMs }, "no credentials for this node's speaker yet");
      schedule(retryMs);
      retryMs = Math.min(retryMs * 2, longestRetryMs);
    }
  };
  let begun = false;
  const begin = (): void => {
    if (begun || ended.signal.aborted) return;
    begun = true;
    void pools.stop();
    void renew();
  };
  pools.addHandler({ add: begin });
  if (options.atOnce) begin();
  return running(async () => {
    ended.abort();
    timer?.cancel();
    await pools.stop();
  });
}

/** Certificate and key in one file, as the kubelet keeps its own: they change together. */
const credentialFile = 'client.pem';

/** How long the certificate that is there lasts; 0 when there is none of use. */
function certificateLeftMs(folder: string, nodeName: string, nowMs: number): number {
  try {
    const certificate = new X509Certificate(readFileSync(join(folder, credentialFile)));
    if (!certificate.subject.split('\n').includes(`CN=${speakerUser(nodeName)}`)) return 0;
    return Math.max(0, Date.parse(certificate.validTo) - nowMs);
  } catch {
    return 0;
  }
}

async function fetchCertificate(options: SpeakerCredentialsOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, nodeName, folder } = options;
  const { cert, key } = await requestCertificate({
    client,
    clock,
    signal,
    subject: [{ O: [speakersGroup] }, { CN: [speakerUser(nodeName)] }],
    signerName: speakerSigner,
    usages: ['digital signature', 'client auth'],
    expirationSeconds: lifeSeconds,
  });
  write(folder, credentialFile, cert + key);
}

/** Its references are relative to it. */
function writeKubeconfig({ folder, server, nodeName }: SpeakerCredentialsOptions): void {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'cloudless',
        cluster: {
          server: server.server,
          ...(server.ca === undefined
            ? {}
            : { 'certificate-authority-data': Buffer.from(server.ca).toString('base64') }),
          ...(server.tlsServerName === undefined ? {} : { 'tls-server-name': server.tlsServerName }),
        },
      },
    ],
    users: [
      {
        name: speakerUser(nodeName),
        user: { 'client-certificate': credentialFile, 'client-key': credentialFile },
      },
    ],
    contexts: [{ name: 'speaker', context: { cluster: 'cloudless', user: speakerUser(nodeName) } }],
    'current-context': 'speaker',
  };
  write(folder, 'kubeconfig', JSON.stringify(config));
}

function write(folder: string, name: string, text: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, `${name}.tmp`), text, { mode: 0o600 });
  renameSync(join(folder, `${name}.tmp`), join(folder, name));
}
