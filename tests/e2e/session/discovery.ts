import assert from 'node:assert/strict';
import type { Chapter } from './session.ts';

export const discovery: Chapter = {
  'api-resources and api-versions': async (s) => {
    const resources = await s.anywhere('api-resources');
    assert.match(resources, /^NAME +SHORTNAMES +API(VERSION|GROUP) +NAMESPACED +KIND$/m);
    assert.match(resources, /^deployments +deploy +apps\/v1 +true +Deployment$/m);
    assert.match(resources, /^nodes +no +v1 +false +Node$/m);
    assert.doesNotMatch(await s.anywhere('api-resources --namespaced=false -o name'), /^pods$/m);
    assert.match(
      await s.anywhere('api-resources --api-group=apps -o wide'),
      /^deployments .*create.*delete.*deletecollection.*get.*list.*patch.*update.*watch/m,
    );
    const versions = (await s.anywhere('api-versions')).trim().split('\n');
    for (const version of [
      'apps/v1',
      'batch/v1',
      'discovery.k8s.io/v1',
      'rbac.authorization.k8s.io/v1',
      'v1',
    ])
      assert.ok(versions.includes(version), `${version} is not among ${versions.join(', ')}`);
  },

  explain: async (s) => {
    assert.match(
      await s.anywhere('explain pods'),
      /^KIND: +Pod\nVERSION: +v1\n[\s\S]*^ +spec\t<(PodSpec|Object)>$/m,
    );
    const spec = await s.anywhere('explain deployment.spec');
    assert.match(spec, /^KIND: +Deployment\nVERSION: +(apps\/)?v1$/m);
    assert.match(spec, /^ +replicas\t<integer>/m);
    assert.match(spec, /^ +template\t<(PodTemplateSpec|Object)> -required-$/m);
    assert.match(await s.anywhere('explain deployment.spec.replicas'), /Number of desired pods/);
    assert.match(await s.anywhere('explain deployment.spec --recursive'), /^ +image\t<string>/m);
    assert.match(await s.refused('explain pods.spec.nosuch'), /field "nosuch" does not exist/);
  },

  'version and cluster-info': async (s) => {
    const { serverVersion } = JSON.parse(await s.anywhere('version -o json'));
    assert.match(serverVersion.gitVersion, /^v1\.36\./);
    assert.match(
      await s.anywhere('cluster-info'),
      /control plane.* is running at .*https:\/\/192\.0\.2\.10:6443/,
    );
    assert.equal(await s.anywhere('get --raw /readyz'), 'ok');
  },
};
