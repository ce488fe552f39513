/** Attributes of devices: one value each (upstream: pkg/apis/resource/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { DeviceAttribute } from '@cloudless/kube/types/resource-v1';

const maxValueBytes = 64;
const numeric = '(0|[1-9]\\d*)';
const preRelease = '(0|[1-9]\\d*|\\d*[a-zA-Z-][0-9a-zA-Z-]*)';
const build = '[0-9a-zA-Z-]+';
/** semver.org 2.0.0. */
const version = new RegExp(
  `^${numeric}\\.${numeric}\\.${numeric}(-${preRelease}(\\.${preRelease})*)?(\\+${build}(\\.${build})*)?$`,
);

const lists = ['bools', 'ints', 'strings', 'versions'] as const;

/** How many values an attribute counts for. */
export function valuesIn(attribute: DeviceAttribute): number {
  const listed = lists.reduce((sum, name) => sum + (attribute[name]?.length ?? 0), 0);
  return listed === 0 ? 1 : listed;
}

const validateText = (text: string, path: FieldPath): FieldError[] =>
  Buffer.byteLength(text) > maxValueBytes ? [fieldErrors.tooLong(path, maxValueBytes)] : [];

function validateVersion(text: string, path: FieldPath): FieldError[] {
  const why = 'must be a string compatible with semver.org spec 2.0.0';
  const wrong = version.test(text) ? [] : [fieldErrors.invalid(path, text, why)];
  return [...wrong, ...validateText(text, path)];
}

/** As upstream prints its internal struct. */
const shown = (attribute: DeviceAttribute): unknown => ({
  IntValue: attribute.int ?? null,
  BoolValue: attribute.bool ?? null,
  StringValue: attribute.string ?? null,
  VersionValue: attribute.version ?? null,
  IntValues: attribute.ints ?? null,
  BoolValues: attribute.bools ?? null,
  StringValues: attribute.strings ?? null,
  VersionValues: attribute.versions ?? null,
});

export function validateAttribute(attribute: DeviceAttribute, path: FieldPath): FieldError[] {
  const { string, version: semver } = attribute;
  const wrong = [
    ...(string == null ? [] : validateText(string, path.child('string'))),
    ...(semver == null ? [] : validateVersion(semver, path.child('version'))),
  ];
  for (const name of lists) {
    const values = attribute[name];
    const at = path.child(name);
    if (values?.length === 0) wrong.push(fieldErrors.invalid(at, values, 'must not be empty if specified'));
    if (name !== 'strings' && name !== 'versions') continue;
    const check = name === 'strings' ? validateText : validateVersion;
    wrong.push(...(attribute[name] ?? []).flatMap((value, i) => check(value, at.index(i))));
  }
  const count = (['bool', 'int', 'string', 'version', ...lists] as const).filter(
    (name) => attribute[name] != null,
  ).length;
  const one = 'exactly one value must be specified';
  if (count === 0) wrong.push(fieldErrors.invalid(path, '', one));
  if (count > 1) wrong.push(fieldErrors.invalid(path, shown(attribute), one));
  return wrong;
}
