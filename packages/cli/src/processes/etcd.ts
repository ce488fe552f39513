import { createSecureContext } from 'node:tls';
import { readFileSync } from 'node:fs';
import { connectEtcd } from '@cloudless/kube/etcd/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { EtcdError, type EtcdStore, grpcCode } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import { MachineError } from '../machine.ts';
import { type EtcdOptions, UsageError } from '../options.ts';
import { awaitStore } from './await-store.ts';

export interface OpenEtcdOptions {
  etcd: EtcdOptions;
  clock: Clock;
  log: Logger;
  /** Aborted when nobody wants the store any more. */
  signal: AbortSignal;
  /** Told once, when the etcd does not answer at once. */
  onWaiting: (why: string) => void;
}

/**
 * Opens the etcd that `--etcd-servers` names. One that is not there yet is waited for; what waiting cannot mend (a
 * certificate that one side refuses, a file that is none) is said at once. Undefined when it is to stop before.
 *
 * @throws MachineError or UsageError naming the endpoint or file and the remedy
 */
export async function openEtcd(options: OpenEtcdOptions): Promise<EtcdStore | undefined> {
  const { etcd, clock, log, signal, onWaiting } = options;
  const credentials = credentialsOf(etcd);
  return awaitStore({
    open: () => connectEtcd({ endpoints: etcd.endpoints, ...credentials, log }),
    mayPass: (error) => whyItMayPass(etcd, error),
    flag: `--etcd-servers ${etcd.endpoints.join(',')}`,
    clock,
    signal,
    onWaiting,
  });
}

function whyItMayPass(etcd: EtcdOptions, error: unknown): string {
  if (!(error instanceof EtcdError)) throw error;
  if (error.code === grpcCode.failedPrecondition) throw new MachineError(`--etcd-servers: ${error.message}`);
  const reasons =
    error.cause instanceof AggregateError
      ? error.cause.errors.map((reason: Error) => reason.message).join('; ')
      : error.message;
  if (isAboutCertificates(reasons)) throw new MachineError(certificateAdvice(etcd, reasons));
  return error.message;
}

/** The files' texts, after a look whether TLS can use them. */
function credentialsOf(etcd: EtcdOptions): { ca?: string; cert?: string; key?: string } {
  const read = (flag: string, path: string | undefined): string | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new UsageError(`${flag} ${path}: ${(error as Error).message}`);
    }
  };
  const usable = (flags: string, check: () => void): void => {
    try {
      check();
    } catch (error) {
      throw new UsageError(`${flags}: cannot be used (${(error as Error).message}); expected PEM`);
    }
  };
  const ca = read('--etcd-cafile', etcd.caFile);
  const cert = read('--etcd-certfile', etcd.certFile);
  const key = read('--etcd-keyfile', etcd.keyFile);
  if (ca !== undefined) {
    // Without a certificate in it TLS would silently trust nothing.
    usable(`--etcd-cafile ${etcd.caFile}`, () => {
      if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate is in it');
      createSecureContext({ ca });
    });
  }
  if (cert !== undefined && key !== undefined)
    usable(`--etcd-certfile ${etcd.certFile} with --etcd-keyfile ${etcd.keyFile}`, () =>
      createSecureContext({ cert, key }),
    );
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/** Whether one of the two sides refused the other's certificate, in the words of Node and of OpenSSL. */
const isAboutCertificates = (why: string): boolean =>
  /certificate|ssl alert|tlsv1|altnames|UNABLE_TO_|bad record type|wrong version number/i.test(why);

function certificateAdvice({ endpoints, caFile, certFile }: EtcdOptions, why: string): string {
  const server =
    caFile === undefined
      ? 'give the CA that signed its certificate with --etcd-cafile'
      : `--etcd-cafile ${caFile} must be the CA that signed its certificate`;
  const client =
    certFile === undefined
      ? 'give the client certificate that it asks for with --etcd-certfile and --etcd-keyfile'
      : `--etcd-certfile ${certFile} must be signed by the CA that it trusts`;
  const plain = endpoints.some((endpoint) => endpoint.startsWith('http:'))
    ? '; write https:// if it speaks TLS'
    : '';
  return `--etcd-servers ${endpoints.join(',')}: ${server}; ${client}${plain}. It said: ${why}`;
}
