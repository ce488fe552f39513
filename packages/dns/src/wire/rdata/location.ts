import { WireError } from '../name.ts';
import type { Field } from './field.ts';
import type { Words } from './token.ts';

const locBytes = 16;
/** The equator and the prime meridian, in thousandths of an arc second; sea level in centimetres below which 0 lies. */
const zeroDegrees = 2 ** 31;
const zeroAltitudeCm = 10_000_000;
const maxPrecisionCm = 9_000_000_000;

/** Position, size and precision of LOC (RFC 1876). */
export const location: Field = {
  label: 'location',
  end(data, start, limit) {
    if (start + locBytes > limit) throw new WireError('location is cut off');
    if (data[start] !== 0) throw new WireError(`version ${data[start]} is unknown`);
    for (let i = 1; i <= 3; i++) {
      const byte = data[start + i] as number;
      if (byte >> 4 > 9 || (byte & 0xf) > 9) throw new WireError('a size or precision is malformed');
    }
    checkAngle(data.readUInt32BE(start + 4), 90, 'latitude');
    checkAngle(data.readUInt32BE(start + 8), 180, 'longitude');
    return start + locBytes;
  },
  print(data, start) {
    const precisions = [1, 2, 3].map((i) => `${metres(precisionCm(data[start + i] as number))}m`);
    return [
      angleText(data.readUInt32BE(start + 4), 'N', 'S'),
      angleText(data.readUInt32BE(start + 8), 'E', 'W'),
      `${((data.readUInt32BE(start + 12) - zeroAltitudeCm) / 100).toFixed(2)}m`,
      ...precisions,
    ].join(' ');
  },
  parse(words, out) {
    const latitude = parseAngle(words, 90, 'N', 'S', 'latitude');
    const longitude = parseAngle(words, 180, 'E', 'W', 'longitude');
    const altitude = parseMetres(words.next('altitude').text, 'altitude') + zeroAltitudeCm;
    if (altitude < 0 || altitude > 0xffff_ffff) throw new WireError('altitude is -100000 to 42849672.95 m');
    const precision = (label: string, fallbackCm: number): number =>
      precisionByte(words.isAtEnd ? fallbackCm : parseMetres(words.next(label).text, label), label);
    out.u8(0);
    out.u8(precision('size', 100));
    out.u8(precision('horizontal precision', 1_000_000));
    out.u8(precision('vertical precision', 1000));
    out.u32(latitude);
    out.u32(longitude);
    out.u32(altitude);
  },
};

function checkAngle(value: number, degrees: number, label: string): void {
  if (Math.abs(value - zeroDegrees) > degrees * 3_600_000)
    throw new WireError(`${label} is beyond ${degrees} degrees`);
}

function angleText(value: number, positive: string, negative: string): string {
  const thousandths = Math.abs(value - zeroDegrees);
  const degrees = Math.floor(thousandths / 3_600_000);
  const minutes = Math.floor(thousandths / 60_000) % 60;
  const seconds = ((thousandths % 60_000) / 1000).toFixed(3);
  return `${degrees} ${minutes} ${seconds} ${value >= zeroDegrees ? positive : negative}`;
}

/** `52 22 23.000 N`; minutes and seconds may be left out. */
function parseAngle(
  words: Words,
  maxDegrees: number,
  positive: string,
  negative: string,
  label: string,
): number {
  const numbers: number[] = [];
  for (;;) {
    const { text } = words.next(label);
    const hemisphere = text.toUpperCase();
    if (numbers.length > 0 && (hemisphere === positive || hemisphere === negative)) {
      const [degrees = 0, minutes = 0, seconds = 0] = numbers;
      const thousandths = degrees * 3_600_000 + minutes * 60_000 + Math.round(seconds * 1000);
      const value = zeroDegrees + (hemisphere === positive ? thousandths : -thousandths);
      checkAngle(value, maxDegrees, label);
      return value;
    }
    const limit = numbers.length === 0 ? maxDegrees + 1 : 60;
    const form = numbers.length === 2 ? /^\d{1,2}(\.\d{1,3})?$/ : /^\d{1,3}$/;
    if (numbers.length === 3 || !form.test(text) || Number(text) >= limit)
      throw new WireError(
        `${label} is degrees, minutes and seconds before ${positive} or ${negative}, not ${text}`,
      );
    numbers.push(Number(text));
  }
}

/** Centimetres of `-24.50m`. */
function parseMetres(text: string, label: string): number {
  if (!/^-?\d{1,8}(\.\d{1,2})?m?$/i.test(text))
    throw new WireError(`${label} is metres like 12.50m, not ${text}`);
  return Math.round(Number(text.replace(/m$/i, '')) * 100);
}

/** Of one digit and a power of ten: from 1 m on they are whole. */
function metres(centimetres: number): string {
  return centimetres < 100 ? (centimetres / 100).toFixed(2) : String(centimetres / 100);
}

function precisionCm(byte: number): number {
  return (byte >> 4) * 10 ** (byte & 0xf);
}

/** One digit and the power of ten that it counts: what is finer is cut off. */
function precisionByte(centimetres: number, label: string): number {
  if (centimetres < 0 || centimetres > maxPrecisionCm) throw new WireError(`${label} is 0 to 90000000 m`);
  let exponent = 0;
  while (centimetres >= 10 ** (exponent + 1)) exponent++;
  return (Math.floor(centimetres / 10 ** exponent) << 4) | exponent;
}
