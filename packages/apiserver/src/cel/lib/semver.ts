/** Semantic versions (apiserver/pkg/cel/library/semverlib.go; github.com/blang/semver). */
import { fn, method, type Overload } from '../check/functions.ts';
import { CelOpaque, type CelValue, fail } from '../run/values.ts';
import { boolType, intType, nominalType, stringType } from '../types.ts';
import { goQuoted } from './string-format.ts';

const semverType = nominalType('kubernetes.Semver');
const maxUint = 2n ** 64n - 1n;

interface Version {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly prerelease: ReadonlyArray<string | bigint>;
}

class SemverProblem extends Error {}

class SemverValue extends CelOpaque {
  override readonly typeName = 'kubernetes.Semver';
  readonly version: Version;

  constructor(version: Version) {
    super();
    this.version = version;
  }

  override equals(other: CelOpaque): boolean {
    return other instanceof SemverValue && compareVersions(this.version, other.version) === 0;
  }
}

function numberOf(text: string, name: string): bigint {
  if (!/^\d*$/.test(text))
    throw new SemverProblem(`Invalid character(s) found in ${name} number ${goQuoted(text)}`);
  if (/^0\d/.test(text))
    throw new SemverProblem(
      `${name[0]?.toUpperCase()}${name.slice(1)} number must not contain leading zeroes ${goQuoted(text)}`,
    );
  if (text === '') throw new SemverProblem('strconv.ParseUint: parsing "": invalid syntax');
  const value = BigInt(text);
  if (value > maxUint)
    throw new SemverProblem(`strconv.ParseUint: parsing ${goQuoted(text)}: value out of range`);
  return value;
}

function prereleaseOf(text: string): string | bigint {
  if (text === '') throw new SemverProblem('Prerelease is empty');
  if (!/^[A-Za-z0-9-]+$/.test(text))
    throw new SemverProblem(`Invalid character(s) found in prerelease ${goQuoted(text)}`);
  if (!/^\d+$/.test(text)) return text;
  if (/^0\d/.test(text))
    throw new SemverProblem(`Numeric PreRelease version must not contain leading zeroes ${goQuoted(text)}`);
  return BigInt(text);
}

function checkBuild(text: string): void {
  if (text === '') throw new SemverProblem('Build meta data is empty');
  if (!/^[A-Za-z0-9-]+$/.test(text))
    throw new SemverProblem(`Invalid character(s) found in build meta data ${goQuoted(text)}`);
}

/** Splits at the first `separator`; the second part is undefined where there is none. */
function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function parse(text: string): Version {
  if (text === '') throw new SemverProblem('Version string empty');
  const [majorText, rest] = cut(text, '.');
  const [minorText, patchAndMore] = cut(rest ?? '', '.');
  if (rest === undefined || patchAndMore === undefined)
    throw new SemverProblem('No Major.Minor.Patch elements found');
  const major = numberOf(majorText, 'major');
  const minor = numberOf(minorText, 'minor');
  const [beforeBuild, build] = cut(patchAndMore, '+');
  const [patchText, prerelease] = cut(beforeBuild, '-');
  const patch = numberOf(patchText, 'patch');
  const parts = prerelease?.split('.').map(prereleaseOf) ?? [];
  for (const part of build?.split('.') ?? []) checkBuild(part);
  return { numbers: [major, minor, patch], prerelease: parts };
}

/** `v1.02` → `1.2.0`. */
function normalized(text: string): string {
  const bare = text.replace(/^v/, '');
  const [major, rest] = cut(bare, '.');
  const [minor, patch] = rest === undefined ? [undefined, undefined] : cut(rest, '.');
  const parts = [major, minor, patch].filter((part) => part !== undefined).map(withoutZeros);
  if (parts.length < 3) {
    if (/[+-]/.test(parts.at(-1) ?? ''))
      throw new SemverProblem('short version cannot contain PreRelease/Build meta data');
    while (parts.length < 3) parts.push('0');
  }
  return parts.join('.');
}

function withoutZeros(part: string): string {
  if (part.length <= 1) return part;
  const stripped = part.replace(/^0+/, '');
  return /^\d/.test(stripped) ? stripped : `0${stripped}`;
}

const order = <T extends bigint | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < 3; i++) {
    const difference = order(a.numbers[i] as bigint, b.numbers[i] as bigint);
    if (difference !== 0) return difference;
  }
  if (a.prerelease.length === 0 || b.prerelease.length === 0)
    return Math.sign(Number(a.prerelease.length === 0) - Number(b.prerelease.length === 0));
  return comparePrereleases(a.prerelease, b.prerelease);
}

/** Numbers before words, then by value; the longer one is the later. */
function comparePrereleases(a: Version['prerelease'], b: Version['prerelease']): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const x = a[i] as string | bigint;
    const y = b[i] as string | bigint;
    const difference =
      typeof x === typeof y ? order(x as string, y as string) : typeof x === 'bigint' ? -1 : 1;
    if (difference !== 0) return difference;
  }
  return Math.sign(a.length - b.length);
}

function attempt(text: string, normalize: boolean): SemverValue | string {
  try {
    return new SemverValue(parse(normalize ? normalized(text) : text));
  } catch (error) {
    if (error instanceof SemverProblem) return error.message;
    throw error;
  }
}

const create = (text: string, normalize = false): CelValue => {
  const version = attempt(text, normalize);
  return typeof version === 'string' ? fail(version) : version;
};
const test = (text: string, normalize = false): boolean => typeof attempt(text, normalize) !== 'string';

const two = [semverType, semverType];
const compared =
  (holds: (order: number) => CelValue) =>
  (left: SemverValue, right: SemverValue): CelValue =>
    holds(compareVersions(left.version, right.version));
const part = (name: string, index: 0 | 1 | 2): Overload =>
  method(name, `semver_${name}`, [semverType], intType, (value: SemverValue) => value.version.numbers[index]);

export const semverLibrary: readonly Overload[] = [
  fn('semver', 'string_to_semver', [stringType], semverType, create),
  fn('semver', 'string_bool_to_semver', [stringType, boolType], semverType, create),
  fn('isSemver', 'is_semver_string', [stringType], boolType, test),
  fn('isSemver', 'is_semver_string_bool', [stringType, boolType], boolType, test),
  method(
    'isGreaterThan',
    'semver_is_greater_than',
    two,
    boolType,
    compared((difference) => difference > 0),
  ),
  method(
    'isLessThan',
    'semver_is_less_than',
    two,
    boolType,
    compared((difference) => difference < 0),
  ),
  method(
    'compareTo',
    'semver_compare_to',
    two,
    intType,
    compared((difference) => BigInt(difference)),
  ),
  part('major', 0),
  part('minor', 1),
  part('patch', 2),
];
