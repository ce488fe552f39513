import { unescaped, WireError } from '../name.ts';
import { addressText, ipv4Bytes, ipv6Bytes } from './address.ts';
import { base64Bytes, base64Text, escapedText } from './encoding.ts';
import { type Field, numberText, stringBytes } from './field.ts';

/** How the value of one parameter of SVCB and HTTPS is checked, printed and parsed. */
interface Parameter {
  readonly key: number;
  readonly name: string;
  /** Throws {@link WireError}. */
  check(value: Buffer): void;
  /** Undefined: the key stands alone. */
  print(value: Buffer): string | undefined;
  /** `text` undefined: no value was written. */
  parse(text: string | undefined): Buffer;
}

/** SvcParams of RFC 9460 section 14.3, RFC 9461 (dohpath), RFC 9540 (ohttp). */
const parameters: readonly Parameter[] = [
  {
    key: 0,
    name: 'mandatory',
    check(value) {
      if (value.length === 0 || value.length % 2 !== 0)
        throw new WireError('mandatory is not a list of keys');
      const keys = keysOf(value);
      if (keys.some((key, i) => key === 0 || (i > 0 && key <= (keys[i - 1] as number))))
        throw new WireError('the keys in mandatory are not in order, or one is mandatory itself');
    },
    print: (value) => keysOf(value).map(keyName).join(','),
    parse(text) {
      const keys = listOf(text, 'mandatory')
        .map((item) => keyNumber(item.toString('latin1')))
        .sort((a, b) => a - b);
      const value = Buffer.alloc(keys.length * 2);
      keys.forEach((key, i) => value.writeUInt16BE(key, i * 2));
      return value;
    },
  },
  {
    key: 1,
    name: 'alpn',
    check: (value) => void protocolsOf(value),
    print: (value) => `"${protocolsOf(value).map(listItem).join(',')}"`,
    parse: (text) =>
      Buffer.concat(
        listOf(text, 'alpn').flatMap((item) => {
          if (item.length === 0 || item.length > 255)
            throw new WireError('a protocol in alpn has 1 to 255 octets');
          return [Buffer.of(item.length), item];
        }),
      ),
  },
  {
    key: 2,
    name: 'no-default-alpn',
    check: mustBeEmpty('no-default-alpn'),
    print: () => undefined,
    parse: mustBeAbsent('no-default-alpn'),
  },
  {
    key: 3,
    name: 'port',
    check(value) {
      if (value.length !== 2) throw new WireError('port has two octets');
    },
    print: (value) => String(value.readUInt16BE(0)),
    parse(text) {
      const port = numberText(present(text, 'port'), 'port', 65_535);
      return Buffer.of(port >> 8, port & 0xff);
    },
  },
  addresses(4, 'ipv4hint', 4, ipv4Bytes),
  {
    key: 5,
    name: 'ech',
    check(value) {
      if (value.length === 0) throw new WireError('ech is empty');
    },
    print: (value) => base64Text(value),
    parse: (text) => base64Bytes(present(text, 'ech')),
  },
  addresses(6, 'ipv6hint', 16, ipv6Bytes),
  {
    key: 7,
    name: 'dohpath',
    check: () => {},
    print: (value) => `"${escapedText(value)}"`,
    parse: (text) => textBytes(present(text, 'dohpath')),
  },
  {
    key: 8,
    name: 'ohttp',
    check: mustBeEmpty('ohttp'),
    print: () => undefined,
    parse: mustBeAbsent('ohttp'),
  },
];

function addresses(key: number, name: string, bytes: number, parse: (text: string) => Buffer): Parameter {
  return {
    key,
    name,
    check(value) {
      if (value.length === 0 || value.length % bytes !== 0)
        throw new WireError(`${name} is no list of addresses`);
    },
    print: (value) =>
      Array.from({ length: value.length / bytes }, (_, i) =>
        addressText(value.subarray(i * bytes, (i + 1) * bytes)),
      ).join(','),
    parse: (text) => Buffer.concat(present(text, name).split(',').map(parse)),
  };
}

function mustBeEmpty(name: string): (value: Buffer) => void {
  return (value) => {
    if (value.length > 0) throw new WireError(`${name} has no value`);
  };
}

function mustBeAbsent(name: string): (text: string | undefined) => Buffer {
  return (text) => {
    if (text !== undefined && text !== '') throw new WireError(`${name} has no value`);
    return Buffer.alloc(0);
  };
}

function present(text: string | undefined, name: string): string {
  if (text === undefined || text === '') throw new WireError(`${name} needs a value`);
  return text;
}

function textBytes(text: string): Buffer {
  return stringBytes({ text, isQuoted: true });
}

const byKey = new Map(parameters.map((parameter) => [parameter.key, parameter]));
const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));

function keyName(key: number): string {
  return byKey.get(key)?.name ?? `key${key}`;
}

function keyNumber(name: string): number {
  const known = byName.get(name);
  if (known) return known.key;
  const digits = /^key(0|[1-9]\d{0,4})$/.exec(name)?.[1];
  if (digits === undefined || Number(digits) > 65_535)
    throw new WireError(`${name} is no parameter: keyNUMBER stands for unknown ones`);
  return Number(digits);
}

function keysOf(value: Buffer): number[] {
  return Array.from({ length: value.length / 2 }, (_, i) => value.readUInt16BE(i * 2));
}

function protocolsOf(value: Buffer): Buffer[] {
  const items: Buffer[] = [];
  for (let position = 0; position < value.length;) {
    const end = position + 1 + (value[position] as number);
    if (end === position + 1 || end > value.length) throw new WireError('a protocol in alpn is malformed');
    items.push(value.subarray(position + 1, end));
    position = end;
  }
  if (items.length === 0) throw new WireError('alpn is empty');
  return items;
}

/** An item of a list within quotes: escaped for the list, then for the string (RFC 9460 appendix A.1). */
function listItem(item: Buffer): string {
  const inList = item.toString('latin1').replace(/[\\,]/g, '\\$&');
  return escapedText(Buffer.from(inList, 'latin1'));
}

/** Items between commas; `\,` and `\\` after the string's own escapes belong to an item. */
function listOf(text: string | undefined, name: string): Buffer[] {
  const value = textBytes(present(text, name)).toString('latin1');
  const items = [''];
  for (let i = 0; i < value.length; i++) {
    if (value[i] === ',') items.push('');
    else {
      if (value[i] === '\\') i++;
      items[items.length - 1] += value[i] ?? '';
    }
  }
  return items.map((item) => Buffer.from(item, 'latin1'));
}

function* readParameters(data: Buffer, start: number, limit: number): Iterable<[key: number, value: Buffer]> {
  let previous = -1;
  for (let position = start; position < limit;) {
    if (position + 4 > limit) throw new WireError('a parameter is cut off');
    const key = data.readUInt16BE(position);
    const end = position + 4 + data.readUInt16BE(position + 2);
    if (end > limit) throw new WireError(`${keyName(key)} is cut off`);
    if (key <= previous) throw new WireError(`${keyName(key)} is not in order, or twice`);
    yield [key, data.subarray(position + 4, end)];
    previous = key;
    position = end;
  }
}

/** What `mandatory` names must be there; what no-default-alpn takes away, alpn must give (RFC 9460 sections 7.1.1, 8). */
function checkTogether(values: ReadonlyMap<number, Buffer>): void {
  const mandatory = values.get(0);
  for (const key of mandatory ? keysOf(mandatory) : [])
    if (!values.has(key)) throw new WireError(`${keyName(key)} is mandatory and missing`);
  if (values.has(2) && !values.has(1)) throw new WireError('no-default-alpn needs alpn');
}

/** The parameters of SVCB and HTTPS (RFC 9460) to the end of the data. */
export const serviceParameters: Field = {
  label: 'parameters',
  end(data, start, limit) {
    const values = new Map<number, Buffer>();
    for (const [key, value] of readParameters(data, start, limit)) {
      byKey.get(key)?.check(value);
      values.set(key, value);
    }
    checkTogether(values);
    return limit;
  },
  print(data, start, end) {
    if (start === end) return undefined;
    return [...readParameters(data, start, end)]
      .map(([key, value]) => {
        const parameter = byKey.get(key);
        const text = parameter
          ? parameter.print(value)
          : value.length > 0
            ? `"${escapedText(value)}"`
            : undefined;
        return text === undefined ? keyName(key) : `${keyName(key)}=${text}`;
      })
      .join(' ');
  },
  parse(words, out) {
    const values = new Map<number, Buffer>();
    for (const { text } of words.rest()) {
      const equals = text.indexOf('=');
      const name = equals < 0 ? text : text.slice(0, equals);
      const written = equals < 0 ? undefined : text.slice(equals + 1).replace(/^"([^]*)"$/, '$1');
      const key = keyNumber(unescaped(name));
      if (values.has(key)) throw new WireError(`${name} is there twice`);
      const parameter = byKey.get(key);
      const value = parameter ? parameter.parse(written) : textBytes(written ?? '');
      parameter?.check(value);
      values.set(key, value);
    }
    checkTogether(values);
    for (const [key, value] of [...values].sort(([a], [b]) => a - b)) {
      out.u16(key);
      out.u16(value.length);
      out.bytes(value);
    }
  },
};
