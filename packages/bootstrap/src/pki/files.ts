import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyPair } from './authority.ts';

/** A certificate, key or kubeconfig that cannot be used; the message names the file and what to do. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
}

/** Writes a file so that it is the old one or the new one at any moment, and survives a power cut. */
export function writeDurably(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const file = openSync(`${path}.tmp`, 'w', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.tmp`, path);
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

/** Writes NAME.crt (0644) and NAME.key (0600) below `folder`; the key first, so that no certificate lacks one. */
export function writePair(folder: string, name: string, pair: KeyPair): void {
  writeDurably(join(folder, `${name}.key`), pair.key, 0o600);
  writeDurably(join(folder, `${name}.crt`), pair.cert, 0o644);
}

/** Reads a pair and checks that both halves belong together; undefined when neither is there. */
export function readPair(folder: string, name: string): (KeyPair & { x509: X509Certificate }) | undefined {
  const [certPath, keyPath] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const [cert, key] = [readIfThere(certPath), readIfThere(keyPath)];
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined)
    throw new BootstrapError(
      `${certPath} is missing beside ${keyPath}: restore it, or remove the key to have both made anew`,
    );
  if (key === undefined)
    throw new BootstrapError(
      `${keyPath} is missing beside ${certPath}: restore it, or remove the certificate to have both made anew`,
    );
  const x509 = parseCertificate(cert, certPath);
  let matches: boolean;
  try {
    matches = x509.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new BootstrapError(`${keyPath} holds no usable private key`, { cause });
  }
  if (!matches)
    throw new BootstrapError(`${keyPath} is not the key of ${certPath}: restore the pair from a backup`);
  return { cert, key, x509 };
}

/** Parses PEM; the error names the file. */
export function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new BootstrapError(`${path} holds no certificate in PEM form`, { cause });
  }
}

export { existsSync as fileExists };
