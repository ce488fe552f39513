import { WireError } from '../name.ts';
import type { Field } from './field.ts';

/** Octets as groups of hex digits with a separator: EUI-48 and EUI-64 (`00-00-5e-…`), locators (`2001:0db8:…`). */
export function hexGroups(label: string, groups: number, digits: 2 | 4, separator: '-' | ':'): Field {
  const bytes = (groups * digits) / 2;
  const form = new RegExp(
    `^[\\da-f]{${digits === 2 ? 2 : '1,4'}}(${separator}[\\da-f]{${digits === 2 ? 2 : '1,4'}}){${groups - 1}}$`,
    'i',
  );
  return {
    label,
    end(_data, start, limit) {
      if (start + bytes > limit) throw new WireError(`${label} is cut off`);
      return start + bytes;
    },
    print(data, start, end) {
      const hex = data.toString('hex', start, end).match(digits === 2 ? /../g : /.{4}/g) ?? [];
      return hex.map((group) => (digits === 2 ? group : group.replace(/^0+(?=.)/, ''))).join(separator);
    },
    parse(words, out) {
      const { text } = words.next(label);
      if (!form.test(text)) throw new WireError(`${label} is ${groups} groups of hex digits, not ${text}`);
      out.bytes(
        Buffer.from(
          text
            .split(separator)
            .map((group) => group.padStart(digits, '0'))
            .join(''),
          'hex',
        ),
      );
    },
  };
}
