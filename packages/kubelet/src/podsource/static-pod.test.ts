import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseStaticPod } from './static-pod.ts';

const parse = (text: string, path = '/m/a.yaml') =>
  parseStaticPod({ text, path, nodeName: 'Node-A', seenAtMs: 0 });
const good =
  'apiVersion: v1\nkind: Pod\nmetadata: {name: kine}\nspec: {containers: [{name: kine, image: kine:1}]}\n';

void describe('a static pod', () => {
  void it('is completed as upstream does', () => {
    const pod = parse(good);
    assert.equal(pod.metadata.name, 'kine-node-a');
    assert.equal(pod.metadata.namespace, 'default');
    assert.match(pod.metadata.uid!, /^[0-9a-f]{32}$/);
    assert.equal(pod.metadata.annotations!['kubernetes.io/config.source'], 'file');
    assert.equal(pod.metadata.annotations!['kubernetes.io/config.hash'], pod.metadata.uid);
    assert.deepEqual(pod.spec!.tolerations, [{ operator: 'Exists', effect: 'NoExecute' }]);
    assert.equal(pod.spec!.nodeName, 'Node-A');
  });
  void it('has another uid for other content or another file', () => {
    assert.equal(parse(good).metadata.uid, parse(good).metadata.uid);
    assert.notEqual(parse(good).metadata.uid, parse(good, '/m/b.yaml').metadata.uid);
    assert.notEqual(parse(good).metadata.uid, parse(good.replace('kine:1', 'kine:2')).metadata.uid);
  });
  void it('loses the fields that no pod has, and they are named', () => {
    const seen: string[] = [];
    const pod = parseStaticPod({
      text: good.replace('spec: {', 'spec: {hostNetwrok: true, '),
      path: '/m/a.yaml',
      nodeName: 'n',
      seenAtMs: 0,
      onUnknown: (fields) => seen.push(...fields),
    });
    assert.deepEqual(seen, ['unknown field "spec.hostNetwrok"']);
    assert.equal('hostNetwrok' in pod.spec!, false);
  });
  const bad: Array<[string, string, RegExp]> = [
    ['not YAML', 'a: [', /not YAML: yaml: line 1/],
    ['nothing', '', /it holds no object/],
    [
      'another kind',
      good.replace('kind: Pod', 'kind: Deployment'),
      /kind is "Deployment"; a static pod has kind "Pod"/,
    ],
    ['no name', good.replace('{name: kine}', '{}'), /metadata\.name: a name is needed/],
    ['no container', good.replace('[{name: kine, image: kine:1}]', '[]'), /spec\.containers: at least one/],
    ['no image', good.replace(', image: kine:1', ''), /spec\.containers\[0\]\.image: an image is needed/],
    [
      'an unknown volume',
      good.replace('image: kine:1', 'image: x, volumeMounts: [{name: v, mountPath: /v}]'),
      /spec\.containers\[0\]\.volumeMounts\[0\]\.name: "v"/,
    ],
    [
      'a text as a list',
      good.replace('image: kine:1', 'image: x, command: sh -c x'),
      /cannot unmarshal string into Go struct field Container\.spec\.containers\.command of type \[\]string/,
    ],
    ['a null container', good.replace('[{', '[null, {'), /spec\.containers\[0\]\.name: a name is needed/],
    [
      'a volume without a name',
      good.replace('spec: {', 'spec: {volumes: [{hostPath: {path: /x}}], '),
      /spec\.volumes\[0\]\.name: a name is needed/,
    ],
    [
      'a Secret',
      good.replace('spec: {', 'spec: {volumes: [{name: s, secret: {secretName: x}}], '),
      /may not refer to API objects \(secret\)/,
    ],
  ];
  for (const [what, text, why] of bad)
    void it(`is refused with a sentence: ${what}`, () => assert.throws(() => parse(text), why));
});
