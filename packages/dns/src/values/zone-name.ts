import { WireError, writeName } from '../wire/name.ts';
import type { Value } from './value.ts';

/** Text as the name of a zone: lower case, without the dot at the end; undefined when it is no name. */
export function zoneName(text: string): string | undefined {
  const name = text.trim().replace(/\.$/, '');
  if (name === '' || /(^\.|\.\.|[\s/])/.test(name)) return undefined;
  try {
    writeName(name);
    return name.toLowerCase();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** {@link zoneName} of a value that says what is wrong. */
export function zoneNameOf(value: Value): string | undefined {
  const text = value.text();
  if (text === undefined) return undefined;
  return zoneName(text) ?? value.error(`'${text}' is no name of a zone`);
}
