import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scheduleProblem } from './cron-job.ts';

describe('a schedule', () => {
  const table: Array<[string, string, string | undefined]> = [
    ['has steps, ranges and names', '*/5 0-6/2 1,15 jan-MAR mon', undefined],
    ['goes from a number to the end in steps', '5/20 * * * *', undefined],
    [
      'has no other names',
      '* * * * monx',
      'failed to parse int from monx: strconv.Atoi: parsing "monx": invalid syntax',
    ],
    [
      'names the end that is no number',
      '* 1-x * * *',
      'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax',
    ],
    [
      'has steps that are numbers',
      '*/x * * * *',
      'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax',
    ],
    ['has steps that are not negative', '*/-1 * * * *', 'negative number (-1) not allowed: -1'],
    ['has steps of at least one', '*/0 * * * *', 'step of range should be a positive number: */0'],
    ['has ranges of two ends', '1-2-3 * * * *', 'too many hyphens: 1-2-3'],
    ['has one step', '1/2/3 * * * *', 'too many slashes: 1/2/3'],
    ['begins within the field', '* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['ends within the field', '60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['ends behind its beginning', '5-4 * * * *', 'beginning of range (5) beyond end of range (4): 5-4'],
    [
      'has numbers that fit',
      '99999999999999999999 * * * *',
      'failed to parse int from 99999999999999999999: strconv.Atoi: parsing "99999999999999999999": value out of range',
    ],
  ];
  for (const [title, schedule, expected] of table)
    it(title, () => assert.equal(scheduleProblem(schedule), expected));
});
