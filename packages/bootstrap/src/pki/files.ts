import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyPair } from './authority.ts';

/** A certificate, key or kubeconfig that cannot be used; the message names the file and what to do. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
}

const half = (path: string): string => `${path}.tmp`;

/** Writes a file beside its place, on the disk when it returns. */
function writeBeside(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const file = openSync(half(path), 'w', mode);
  try {
    // Whatever the umask, and whoever made a file of this name before.
    fchmodSync(file, mode);
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Writes a file so that it is the old one or the new one at any moment, and survives a power cut. */
export function writeDurably(path: string, text: string, mode: number): void {
  writeBeside(path, text, mode);
  renameSync(half(path), path);
  syncFolder(path);
}

/** Reads a text file; undefined when it is not there. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new BootstrapError(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Takes from everybody but its owner the right to read a file with a key; the sentence that says so, or undefined when
 * nobody had it. Throws when that is not possible.
 */
export function closeToOthers(path: string): string | undefined {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  try {
    chmodSync(path, 0o600);
  } catch (cause) {
    throw new BootstrapError(
      `${path} holds a key and others may read it (mode 0${mode.toString(8)}): chmod 600 it`,
      {
        cause,
      },
    );
  }
  return `${path} holds a key and could be read by others (mode 0${mode.toString(8)}): it is 0600 now; if others use this machine, replace the key`;
}

/**
 * Writes NAME.crt (0644) and NAME.key (0600) below `folder`. Both are on the disk before the first takes its place, so
 * that {@link readPair} can finish what a kill or power cut interrupts.
 */
export function writePair(folder: string, name: string, pair: KeyPair): void {
  const [certPath, keyPath] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  writeBeside(certPath, pair.cert, 0o644);
  writeBeside(keyPath, pair.key, 0o600);
  renameSync(half(keyPath), keyPath);
  renameSync(half(certPath), certPath);
  syncFolder(certPath);
}

/** Finishes a {@link writePair} that ended between its two renames; the certificate then, otherwise undefined. */
function finishWriting(certPath: string, key: string): string | undefined {
  const written = readIfThere(half(certPath));
  try {
    if (written === undefined || !new X509Certificate(written).checkPrivateKey(createPrivateKey(key)))
      return undefined;
  } catch {
    return undefined;
  }
  renameSync(half(certPath), certPath);
  syncFolder(certPath);
  return written;
}

/** Reads a pair and checks that both halves belong together; undefined when neither is there. */
export function readPair(folder: string, name: string): (KeyPair & { x509: X509Certificate }) | undefined {
  const [certPath, keyPath] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const [cert, key] = [readIfThere(certPath), readIfThere(keyPath)];
  if (cert === undefined && key === undefined) return undefined;
  if (key === undefined)
    throw new BootstrapError(
      `${keyPath} is missing beside ${certPath}: restore it, or remove the certificate to have both made anew`,
    );
  if (cert !== undefined && belongsTo(parseCertificate(cert, certPath), key, keyPath))
    return { cert, key, x509: parseCertificate(cert, certPath) };
  const finished = finishWriting(certPath, key);
  if (finished !== undefined) return { cert: finished, key, x509: new X509Certificate(finished) };
  throw new BootstrapError(
    cert === undefined
      ? `${certPath} is missing beside ${keyPath}: restore it, or remove the key to have both made anew`
      : `${keyPath} is not the key of ${certPath}: restore the pair from a backup`,
  );
}

function belongsTo(cert: X509Certificate, key: string, keyPath: string): boolean {
  try {
    return cert.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new BootstrapError(`${keyPath} holds no usable private key: restore it from a backup`, { cause });
  }
}

/** Parses PEM; the error names the file. */
export function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new BootstrapError(`${path} holds no certificate in PEM form: restore it from a backup`, { cause });
  }
}
