import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';

/** PEM texts. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate that it signed. */
  readonly ca?: string | undefined;
}

/** Paths of PEM files; renewed ones are taken up without a restart. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly trustedCaFile?: string | undefined;
}

/** A file that TLS cannot use: which, why, and what to do. */
export class TlsFileError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'TlsFileError';
  }
}

/** How often the files are looked at. */
const refreshMs = 10_000;

/** Reads the files and tries them. @throws TlsFileError */
export function readTls({ certFile, keyFile, trustedCaFile }: TlsFiles): TlsMaterial {
  const cert = read('certificate', certFile);
  const key = read('key', keyFile);
  const ca = trustedCaFile === undefined ? undefined : read('trusted CA', trustedCaFile);
  attempt(`the certificate ${certFile} with the key ${keyFile}`, () => createSecureContext({ cert, key }));
  if (ca !== undefined) {
    attempt(`the trusted CA ${trustedCaFile}`, () => {
      // Without a certificate in it TLS would trust nobody, and not say so.
      if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate is in it');
      createSecureContext({ ca });
    });
  }
  return { cert, key, ca };
}

function read(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new TlsFileError(`the ${what} ${path} cannot be read: ${(error as Error).message}`, error);
  }
}

function attempt(what: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw new TlsFileError(
      `${what} cannot be used: ${(error as Error).message}; PEM files that belong together are needed`,
      error,
    );
  }
}

/** Looks at the files now and then, and hands over what changed. Unusable ones are told and left. */
export function watchTls(
  files: TlsFiles,
  first: TlsMaterial,
  renew: (material: TlsMaterial) => void,
  { clock, log }: { clock: Clock; log: Logger },
): { stop(): void } {
  let material = first;
  let timer = clock.setTimeout(look, refreshMs);
  function look(): void {
    try {
      const next = readTls(files);
      if (next.cert !== material.cert || next.key !== material.key || next.ca !== material.ca) {
        renew(next);
        material = next;
        log.info('serving with changed certificates');
      }
    } catch (error) {
      log.error({ error: (error as Error).message }, 'changed certificates cannot be used, keeping the old');
    }
    timer = clock.setTimeout(look, refreshMs);
  }
  return { stop: () => timer.cancel() };
}
