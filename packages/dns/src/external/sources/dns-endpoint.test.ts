import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dnsEndpointEndpoints } from './dns-endpoint.ts';
import { lines } from './testing/objects.ts';

describe('a DNSEndpoint', () => {
  it('has sets of any type, its type told from the targets where it names none', () => {
    const endpoints = [
      { dnsName: 'a.example.org.', targets: ['1.2.3.4'], recordTTL: 180 },
      {
        dnsName: 'b.example.org',
        recordType: 'mx',
        targets: ['10 mail.example.org', '5 mx.example.org.'],
        recordTTL: 0,
      },
      { dnsName: 'c.example.org', recordType: 'TXT', targets: ['v=spf1 -all'], setIdentifier: 'x' },
      { dnsName: 'd.example.org', recordType: 'A', targets: [] },
      { dnsName: 'e.example.org', targets: ['other.example.org'] },
    ];
    assert.deepEqual(lines(dnsEndpointEndpoints({ metadata: {}, spec: { endpoints } })), [
      'a.example.org A 1.2.3.4 ttl=180',
      'b.example.org MX 10 mail.example.org 5 mx.example.org.',
      'c.example.org TXT v=spf1 -all set=x',
      'e.example.org CNAME other.example.org',
    ]);
    assert.deepEqual(dnsEndpointEndpoints({ metadata: {} }), []);
  });
});
