import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatusError } from '@cloudless/kube/status';
import { parseRequest } from './parse.ts';

/** method, URL → verb group/version/resource[/subresource] namespace name (upstream: requestinfo_test.go). */
const cases: Array<[string, string, string]> = [
  ['GET', '/api/v1/namespaces', 'list /v1/namespaces - -'],
  ['GET', '/api/v1/namespaces/other', 'get /v1/namespaces other other'],
  ['GET', '/api/v1/namespaces/other/pods', 'list /v1/pods other -'],
  ['GET', '/api/v1/namespaces/other/pods/foo', 'get /v1/pods other foo'],
  ['HEAD', '/api/v1/namespaces/other/pods/foo', 'get /v1/pods other foo'],
  ['GET', '/api/v1/pods', 'list /v1/pods - -'],
  ['GET', '/api/v1/pods?watch=true', 'watch /v1/pods - -'],
  ['GET', '/api/v1/pods?watch=false', 'list /v1/pods - -'],
  ['GET', '/api/v1/pods?watch=1&fieldSelector=metadata.name=foo', 'watch /v1/pods - foo'],
  [
    'GET',
    '/api/v1/namespaces/ns/pods?fieldSelector=spec.nodeName=n,metadata.name==foo',
    'list /v1/pods ns foo',
  ],
  ['DELETE', '/api/v1/namespaces/ns/pods', 'deletecollection /v1/pods ns -'],
  ['GET', '/api/v1/watch/namespaces/ns/pods', 'watch /v1/pods ns -'],
  ['GET', '/api/v1/watch/pods', 'watch /v1/pods - -'],
  ['GET', '/api/v1/namespaces/ns/pods/foo/status', 'get /v1/pods/status ns foo'],
  ['PUT', '/api/v1/namespaces/ns/finalize', 'update /v1/namespaces/finalize ns ns'],
  ['PUT', '/api/v1/namespaces/ns/status', 'update /v1/namespaces/status ns ns'],
  ['PATCH', '/api/v1/namespaces/ns/pods/foo', 'patch /v1/pods ns foo'],
  ['POST', '/api/v1/namespaces/ns/pods/foo/exec', 'create /v1/pods/exec ns foo'],
  ['GET', '/apis/apps/v1/namespaces/ns/deployments/web/scale', 'get apps/v1/deployments/scale ns web'],
  [
    'GET',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode',
    'get rbac.authorization.k8s.io/v1/clusterroles - system:node',
  ],
];
const paths: Array<[string, string]> = [
  ['GET', '/'],
  ['GET', '/api'],
  ['GET', '/api/v1'],
  ['GET', '/apis'],
  ['GET', '/apis/apps'],
  ['GET', '/apis/apps/v1'],
  ['GET', '/healthz'],
  ['POST', '/openapi/v3/apis/apps/v1'],
];

const parse = (method: string, url: string) => {
  const [path = '', search = ''] = url.split('?', 2);
  return parseRequest(method, path, new URLSearchParams(search));
};

describe('what a request means', () => {
  for (const [method, url, expected] of cases) {
    it(`${method} ${url}`, () => {
      const info = parse(method, url);
      const { verb, group, version, resource, subresource, namespace, name } = info;
      const full = subresource === '' ? resource : `${resource}/${subresource}`;
      assert.equal(`${verb} ${group}/${version}/${full} ${namespace || '-'} ${name || '-'}`, expected);
      assert.ok(info.isResource);
    });
  }

  for (const [method, url] of paths) {
    it(`${method} ${url} is no resource`, () => {
      const info = parse(method, url);
      assert.equal(info.isResource, false);
      assert.equal(info.verb, method.toLowerCase());
      assert.equal(info.path, url);
    });
  }

  it('takes a name only from a selector that really demands it', () => {
    const named = (selector: string): string =>
      parse('GET', `/api/v1/namespaces/ns/secrets?fieldSelector=${encodeURIComponent(selector)}`).name;
    assert.equal(named('metadata.name=a'), 'a');
    assert.equal(named('type=x,metadata.name==a'), 'a');
    assert.equal(named('type!=x\\,metadata.name=a'), '', 'an escaped comma is part of a value');
    assert.equal(named('metadata.name!=a'), '');
    assert.equal(named('metadata.name=a\\,b'), 'a,b');
    assert.equal(named('metadata.name=..'), '');
    assert.equal(named('broken'), '');
  });

  it('does not let a name hold a slash', () => {
    assert.throws(() => parse('GET', '/api/v1/namespaces/ns%2Fother/pods/a'), /may not contain '\/'/);
    assert.throws(() => parse('GET', '/api/v1/secrets/ns%2Fa'), /may not contain '\/'/);
  });

  it('keeps selectors for authorization, and refuses broken escapes', () => {
    const info = parse('GET', '/api/v1/pods?labelSelector=a%3Db&fieldSelector=spec.nodeName%3Dn1');
    assert.equal(info.labelSelector, 'a=b');
    assert.equal(info.fieldSelector, 'spec.nodeName=n1');
    assert.throws(() => parse('GET', '/api/v1/pods/%E0%A4%A'), StatusError);
  });
});
