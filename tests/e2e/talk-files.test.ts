import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  ConfigurationError,
  parseKubeletConfiguration,
} from '../../packages/kubelet/src/config/configuration.ts';
import { parseStaticPod, StaticPodError } from '../../packages/kubelet/src/podsource/static-pod.ts';

const talk = join(import.meta.dirname, '..', 'talk');
const text = (name: string): string => readFileSync(join(talk, name), 'utf8');
const staticPod = (
  name: string,
  change = (yaml: string): string => yaml,
  onUnknown = (_fields: readonly string[]): void => {},
) =>
  parseStaticPod({
    text: change(text(name)),
    path: `/m/${name}`,
    nodeName: 'node-1',
    seenAtMs: 0,
    onUnknown,
  });

describe('the talk’s static pods', () => {
  it('kine beside its PostgreSQL', () => {
    const pod = staticPod('kine.yaml');
    assert.equal(`${pod.metadata.namespace}/${pod.metadata.name}`, 'kube-system/kine-node-1');
    assert.deepEqual(
      pod.spec?.containers.map(({ name }) => name),
      ['kine-postgres', 'kine-kine'],
    );
    assert.equal(pod.spec?.hostNetwork, true);
    assert.equal(pod.spec?.volumes?.[0]?.hostPath?.type, 'DirectoryOrCreate');
    assert.equal(pod.spec?.volumes?.[1]?.hostPath?.path, '/etc/kubernetes/pki/etcd');
  });

  it('kube-apiserver', () => {
    const pod = staticPod('kube-apiserver.yaml');
    assert.equal(pod.metadata.name, 'kube-apiserver-node-1');
    assert.ok(pod.spec?.containers[0]?.command?.includes('--etcd-servers=https://10.0.0.9:2379'));
  });

  const refused: Array<[string, RegExp]> = [
    ['as-published/kine.yaml', /^metadata\.name: a name is needed$/],
    // Its name is indented into the labels.
    ['as-published/kube-apiserver.yaml', /^metadata\.name: a name is needed$/],
    ['service-nine.yaml', /^kind is "Namespace"; a static pod has kind "Pod"$/],
    ['transmission.yaml', /^kind is "Service"; a static pod has kind "Pod"$/],
    ['egress.yaml', /^kind is "CiliumEgressGatewayPolicy"; a static pod has kind "Pod"$/],
    ['stateless-dns-values.yaml', /^kind is undefined; a static pod has kind "Pod"$/],
  ];
  for (const [name, why] of refused)
    it(`${name} is refused with what is wrong and where`, () =>
      assert.throws(
        () => staticPod(name),
        (error: unknown) => {
          assert.ok(error instanceof StaticPodError, String(error));
          assert.match(error.message, why);
          return true;
        },
      ));

  it('the published excerpt with its name in place: the next faults are named one by one', () => {
    const file = 'as-published/kube-apiserver.yaml';
    const named = (yaml: string): string =>
      yaml.replace('metadata:\n', 'metadata:\n  name: kube-apiserver\n');
    assert.throws(() => staticPod(file, named), /spec\.volumes\[0\]\.name: a name is needed$/);
    const withVolume = (yaml: string): string =>
      named(yaml).replace('- hostPath:', '- name: certs\n    hostPath:');
    assert.throws(() => staticPod(file, withVolume), /spec\.containers\[0\]\.name: a name is needed$/);
    const whole = (yaml: string): string =>
      withVolume(yaml).replace('- command:', '- name: kube-apiserver\n    image: x\n    command:');
    const unknown: string[] = [];
    const pod = staticPod(file, whole, (fields) => unknown.push(...fields));
    assert.equal(pod.metadata.name, 'kube-apiserver-node-1');
    // The path stands beside hostPath, where no volume has one.
    assert.deepEqual(unknown, ['unknown field "spec.volumes[0].path"']);
  });

  const malformed: Array<[string, string, RegExp]> = [
    [
      'volumes as a map',
      'volumes: {a: b}',
      /cannot unmarshal object into Go struct field PodSpec\.spec\.volumes/,
    ],
    ['containers with a null', 'containers: [null]', /^spec\.containers\[0\]\.name: a name is needed$/],
    [
      'a text as environment',
      'containers: [{name: a, image: b, env: x}]',
      /cannot unmarshal string into Go struct field Container\.spec\.containers\.env/,
    ],
    ['a number as spec', '', /cannot unmarshal number into Go struct field Pod\.spec/],
  ];
  for (const [what, spec, why] of malformed)
    it(`${what} is named`, () => {
      const rest = 'containers: [{name: a, image: b}]';
      const body =
        spec === '' ? 'spec: 5' : `spec: {${spec}${spec.startsWith('containers') ? '' : `, ${rest}`}}`;
      const yaml = `apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n${body}\n`;
      assert.throws(
        () => parseStaticPod({ text: yaml, path: '/m/p', nodeName: 'n', seenAtMs: 0 }),
        (error: unknown) => error instanceof StaticPodError && why.test(error.message),
      );
    });
});

describe('the talk’s kubelet configuration', () => {
  for (const name of ['kubeadm.yaml', 'as-published/kubeadm.yaml'])
    it(`${name}: the kubelet's document is found among kubeadm's`, () => {
      const { config, warnings } = parseKubeletConfiguration(text(name));
      assert.equal(config.resolvConf, '/etc/resolv-k8s.conf');
      assert.equal(config.shutdownGracePeriodMs, 40_000);
      assert.equal(config.shutdownGracePeriodCriticalPodsMs, 20_000);
      assert.deepEqual(warnings, []);
    });

  it('a critical part longer than the whole is refused by name', () => {
    const wrong = text('kubeadm.yaml').replace('CriticalPods: 20s', 'CriticalPods: 50s');
    assert.throws(
      () => parseKubeletConfiguration(wrong),
      (error: unknown) =>
        error instanceof ConfigurationError &&
        /shutdownGracePeriodCriticalPods must not be longer/.test(error.message),
    );
  });
});
