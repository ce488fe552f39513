import type { TsigKey } from '../transfer/keys.ts';
import type { Value } from './value.ts';
import { zoneName } from './zone-name.ts';

/** The Secret of TSIG keys: key name → `ALGORITHM:BASE64`. */
export const tsigKeysSecret = 'tsig-keys';

const algorithms: ReadonlyArray<TsigKey['algorithm']> = [
  'hmac-sha256',
  'hmac-sha512',
  'hmac-sha384',
  'hmac-sha224',
  'hmac-sha1',
  'hmac-md5',
];
const longAlgorithm: Record<string, TsigKey['algorithm']> = { 'hmac-md5.sig-alg.reg.int': 'hmac-md5' };

/** A TSIG key of `ALGORITHM:BASE64`, as Secret `tsig-keys` has them. The reason says nothing of the secret. */
export function parseTsigKey(name: string, text: string): TsigKey | { readonly reason: string } {
  const keyName = zoneName(name);
  if (keyName === undefined) return { reason: 'its name is no name of DNS' };
  const [word = '', base64 = ''] = text.trim().split(/:(.*)/s);
  const lower = word.toLowerCase().replace(/\.$/, '');
  const algorithm = longAlgorithm[lower] ?? algorithms.find((one) => one === lower);
  if (!algorithm)
    return { reason: `expected ALGORITHM:BASE64, with an algorithm of ${algorithms.join(', ')}` };
  const secret = Buffer.from(base64, 'base64');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64.trim()) || secret.length === 0)
    return { reason: 'what follows the colon is no base64' };
  return { name: keyName, algorithm, secret };
}

/** Reads `tsigKeys`: key name → `ALGORITHM:BASE64`. `plain` is what they look like in a Secret. */
export function readTsigKeys(value: Value): { keys: TsigKey[]; plain: Record<string, string> } {
  const keys: TsigKey[] = [];
  const plain: Record<string, string> = {};
  for (const { key, value: one } of value.entries()) {
    const text = one.text();
    // Nothing: it was moved into the Secret.
    if (text === undefined || text === '') continue;
    const parsed = parseTsigKey(key, text);
    if ('reason' in parsed) one.error(parsed.reason);
    else {
      keys.push(parsed);
      plain[parsed.name] = text.trim();
    }
  }
  return { keys, plain };
}
