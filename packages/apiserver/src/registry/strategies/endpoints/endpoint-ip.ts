import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { parseIp } from '../../validation/addresses.ts';

/**
 * Addresses that traffic must not be sent to: unspecified, loopback and link-local ones would reach the node itself
 * (upstream: ValidateEndpointIP).
 */
export function validateEndpointIp(text: string, path: FieldPath): FieldError[] {
  const ip = parseIp(text);
  if (!ip) return [fieldErrors.invalid(path, text, 'must be a valid IP address')];
  const is = (first: bigint, bits: bigint): boolean =>
    ip.value >> ((ip.family === 'IPv4' ? 32n : 128n) - bits) === first;
  const wrong = (detail: string): FieldError[] => [fieldErrors.invalid(path, text, detail)];
  if (ip.value === 0n) return wrong(`may not be unspecified (${JSON.stringify(text)})`);
  if (ip.family === 'IPv4') {
    if (is(127n, 8n)) return wrong('may not be in the loopback range (127.0.0.0/8, ::1/128)');
    if (is(0xa9fen, 16n)) return wrong('may not be in the link-local range (169.254.0.0/16, fe80::/10)');
    if (is(0xe00000n, 24n))
      return wrong('may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)');
    return [];
  }
  if (ip.value === 1n) return wrong('may not be in the loopback range (127.0.0.0/8, ::1/128)');
  if (is(0xfe80n >> 6n, 10n)) return wrong('may not be in the link-local range (169.254.0.0/16, fe80::/10)');
  if (is(0xff02n, 16n))
    return wrong('may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)');
  return [];
}
