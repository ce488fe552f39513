import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resourceRequest } from '../testing/attributes.ts';
import { auditBy } from './index.ts';
import { levels } from './policy.ts';

describe('the content of an object', () => {
  const secret = { metadata: { name: 's' }, data: { password: 'hunter2' } };
  for (const level of levels.slice(1))
    it(`is ${level === 'Metadata' ? 'never' : 'also'} in events at ${level}`, () => {
      let text = '';
      const rules = [{ level }];
      const audit = auditBy(
        { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules },
        { write: (bytes) => void (text = bytes.toString()) },
        () => 0,
      );
      const user = { name: 'jo', groups: [] };
      const request = audit.begin({
        auditId: 'a',
        info: resourceRequest(user, 'create', 'secrets', { namespace: 'n' }),
        requestUri: '/',
        user,
        sourceIps: [],
        userAgent: 'x'.repeat(2000),
        receivedMs: 0,
      });
      request?.requestObject(secret);
      request?.responseObject(secret);
      request?.annotate('patch', JSON.stringify(secret), 'content');
      void request?.stage('ResponseComplete');
      const event = JSON.parse(text) as Record<string, unknown>;
      const found = ['requestObject', 'responseObject'].filter((field) => field in event);
      const expected = {
        Metadata: [],
        Request: ['requestObject'],
        RequestResponse: ['requestObject', 'responseObject'],
      };
      assert.deepEqual(found, expected[level as 'Request']);
      assert.equal(text.includes('hunter2'), level !== 'Metadata');
      assert.equal(event['userAgent'], `${'x'.repeat(1024)}...TRUNCATED`);
    });
});
