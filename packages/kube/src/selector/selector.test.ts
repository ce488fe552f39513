import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  type Operator,
  Selector,
  SelectorError,
  escapeFieldValue,
  formatLabelSelector,
  parseFieldSelector,
  parseLabelSelector,
  requirement,
  selectorFromObject,
  selectorFromSet,
} from './selector.ts';

const nameRule =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

describe('label selectors', () => {
  const matching: Array<[string, Record<string, string>, boolean]> = [
    ['', {}, true],
    ['x=y', { x: 'y' }, true],
    ['x==y,z!=w', { x: 'y' }, true],
    ['x=y', {}, false],
    ['x=', { x: '' }, true],
    ['x', { x: '' }, true],
    ['!x', { x: '' }, false],
    ['!x', {}, true],
    ['x in (a,,b)', { x: '' }, true],
    ['x in (a,b)', { x: 'c' }, false],
    ['x notin (a,b)', {}, true],
    ['x notin (a)', { x: 'a' }, false],
    ['x in ()', { x: '' }, true],
    ['x>1', { x: '2' }, true],
    ['x>1', { x: 'two' }, false],
    ['x<9223372036854775807', { x: '9223372036854775806' }, true],
    ['in in (in,notin)', { in: 'notin' }, true],
    ['toString', {}, false],
    ['example.com/a=b', { 'example.com/a': 'b' }, true],
  ];
  for (const [text, labels, expected] of matching) {
    it(`${text || '(empty)'} ${expected ? 'selects' : 'passes over'} ${JSON.stringify(labels)}`, () => {
      assert.equal(parseLabelSelector(text).matches(labels), expected);
    });
  }

  const refused: Array<[string, string]> = [
    ['x=a||y=b', 'unable to parse requirement: values[0][x]: Invalid value: "a||y": '],
    ['x==a==b', "found '==', expected: ',' or 'end of string'"],
    ['!x=a', "found '=', expected: ',' or 'end of string'"],
    [
      'x<a',
      "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
    ],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    [',a', "found ',', expected: !, identifier, or 'end of string'"],
    ['a,', "found '', expected: identifier after ','"],
    ['x in', "unable to parse requirement: found '' expected: '('"],
    ['x in (a', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['x in (=', "unable to parse requirement: found '=', expected: ',', ')' or identifier"],
    ['_x', `unable to parse requirement: <nil>: Invalid value: "_x": ${nameRule}`],
  ];
  for (const [text, message] of refused) {
    it(`${text} is refused in upstream's words`, () => {
      assert.throws(
        () => parseLabelSelector(text),
        (error: unknown) => error instanceof SelectorError && error.message.startsWith(message),
      );
    });
  }

  it('reads LabelSelector objects', () => {
    const selector = selectorFromObject({
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'tier', operator: 'In', values: ['front', 'back'] },
        { key: 'old', operator: 'DoesNotExist' },
      ],
    });
    assert.equal(selector.toString(), 'app=web,!old,tier in (back,front)');
    assert.equal(selector.matches({ app: 'web', tier: 'back' }), true);
    assert.equal(selector.matches({ app: 'web', tier: 'back', old: '' }), false);
    assert.equal(selectorFromObject(undefined).matches({}), false);
    assert.equal(selectorFromObject({}).matches({}), true);
    assert.equal(formatLabelSelector({}), '<none>');
    assert.throws(
      () => selectorFromObject({ matchExpressions: [{ key: 'a', operator: 'Near' }] }),
      /"Near" is not a valid label selector operator/,
    );
    assert.throws(
      () => selectorFromObject({ matchExpressions: [{ key: 'a', operator: 'In', values: [] }] }),
      /values: Invalid value: \[\]string\{\}: for 'in', 'notin' operators, values set can't be empty/,
    );
  });

  const key = fc.stringMatching(/^([a-z]{1,5}\.[a-z]{1,3}\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?$/);
  const value = fc.stringMatching(/^([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?$/);
  const rule = fc.oneof(
    fc
      .tuple(key, fc.constantFrom<Operator>('=', '==', '!='), value)
      .map(([k, o, v]) => requirement(k, o, [v])),
    fc
      .tuple(
        key,
        fc.constantFrom<Operator>('in', 'notin'),
        fc.uniqueArray(value, { minLength: 1, maxLength: 4 }),
      )
      .map(([k, o, v]) => requirement(k, o, v.sort())),
    fc.tuple(key, fc.constantFrom<Operator>('exists', '!')).map(([k, o]) => requirement(k, o, [])),
    fc
      .tuple(key, fc.constantFrom<Operator>('gt', 'lt'), fc.nat())
      .map(([k, o, v]) => requirement(k, o, [String(v)])),
  );

  it('what is formatted parses back to the same selector', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 5 }), (rules) => {
        const selector = new Selector(rules);
        assert.deepEqual(parseLabelSelector(selector.toString()).requirements, selector.requirements);
      }),
    );
  });

  it('a set selects itself, and any set with more', () => {
    fc.assert(
      fc.property(fc.dictionary(key, value), fc.dictionary(key, value), (set, more) => {
        assert.equal(selectorFromSet(set).matches({ ...more, ...set }), true);
      }),
    );
  });

  it('no text makes the parser do anything but answer or refuse', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab=!(),<> inot/'.split('')) }), (text) => {
        try {
          parseLabelSelector(text);
        } catch (error) {
          assert.ok(error instanceof SelectorError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('field selectors', () => {
  it('matches equal and unequal terms, absent as empty', () => {
    const selector = parseFieldSelector('status.phase=Running,spec.nodeName!=a');
    assert.equal(selector.matches({ 'status.phase': 'Running' }), true);
    assert.equal(selector.matches({ 'status.phase': 'Running', 'spec.nodeName': 'a' }), false);
    assert.equal(selector.exactMatch('status.phase'), 'Running');
    assert.equal(parseFieldSelector('spec.nodeName=').matches({}), true);
    assert.equal(parseFieldSelector('').isEmpty, true);
  });

  const refused: Array<[string, string]> = [
    ['a', "invalid selector: 'a'; can't understand 'a'"],
    ['a=b=c', 'invalid field selector: unescaped character in value: 61'],
    ['a=\\x', 'invalid field selector: invalid escape sequence: \\x'],
    ['a=\\', 'invalid field selector: invalid escape sequence: \\'],
  ];
  for (const [text, message] of refused) {
    it(`${text} is refused`, () => assert.throws(() => parseFieldSelector(text), { message }));
  }

  it('any value survives formatting and parsing', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('=', '!='), (value, sign) => {
        const selector = parseFieldSelector(`metadata.name${sign}${escapeFieldValue(value)}`);
        assert.deepEqual(selector.requirements, [{ field: 'metadata.name', operator: sign, value }]);
        assert.equal(parseFieldSelector(selector.toString()).toString(), selector.toString());
      }),
    );
  });
});
