import { lowerName, parseName, printName, WireError } from '../wire/name.ts';
import { unprocessable } from './api-error.ts';

/** A name in a body: absolute, with its dot, as PowerDNS wants it. Lower case comes back, without the dot. */
export function canonicalName(text: string): string {
  if (!text.endsWith('.')) throw unprocessable(`DNS Name '${text}' is not canonical`);
  try {
    return lowerName(parseName(text));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw unprocessable(`Unable to parse DNS Name '${text}': ${error.message}`);
  }
}

/** The id of a zone in a path: its name with the dot, where bytes that paths cannot have are `=XX`. */
export function zoneId(origin: string): string {
  return printName(origin).replace(/[^A-Za-z0-9._-]/g, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** The zone that an id of a path names; the dot at its end may be left out. Undefined: it names none. */
export function originOf(id: string): string | undefined {
  try {
    const text = id.replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    return lowerName(parseName(text));
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
