import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { Chapter } from './session.ts';

/** A ConfigMap as YAML. */
const map = (name: string, value: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {a: "${value}"}\n`;

export const changing: Chapter = {
  'label and annotate': async (s) => {
    await s.k('label deployment d tier=back');
    assert.equal(await s.value('deployment d', '.metadata.labels.tier'), 'back');
    assert.match(await s.refused('label deployment d tier=front'), /--overwrite is false/);
    await s.k('label deployment d tier=front --overwrite');
    await s.k('label deployment d tier-');
    await s.k('annotate deployment d', 'note=hello world');
    assert.equal(await s.value('deployment d', '.metadata.annotations.note'), 'hello world');
    assert.equal(await s.value('deployment d', '.metadata.labels.tier'), '');
    assert.match(
      await s.refused('annotate deployment d x=y --resource-version=1'),
      /Conflict.*the object has been modified; please apply your changes to the latest version and try again/,
    );
  },

  'patch: json, merge and strategic': async (s) => {
    await s.k('patch deployment d --type=merge -p {"metadata":{"labels":{"tier":"front","x":null}}}');
    const test = '[{"op":"test","path":"/metadata/labels/tier","value":"nosuch"}]';
    assert.match(await s.refused(`patch deployment d --type=json -p ${test}`), /The request is invalid/);
    await s.k('patch deployment d --type=json -p [{"op":"remove","path":"/metadata/labels/tier"}]');
    assert.equal(await s.value('deployment d', '.metadata.labels.tier'), '');
    // A strategic patch finds the container by its name and leaves the rest of it as it is.
    const env = '[{"name":"web-back","env":[{"name":"A","value":"1"}]}]';
    await s.k(`patch deployment d -p {"spec":{"paused":true,"template":{"spec":{"containers":${env}}}}}`);
    const container = JSON.parse(await s.k('get deployment d -o json')).spec.template.spec.containers;
    assert.equal(container.length, 1);
    assert.deepEqual(container[0].env, [{ name: 'A', value: '1' }]);
    assert.match(container[0].image, /web-back:1/);
    await s.k('set env deployment/d A-');
    await s.k('patch deployment d -p {"spec":{"paused":false}}');
  },

  'apply makes, changes and takes away only what it made; diff and --dry-run tell beforehand': async (s) => {
    assert.match(await s.feed(map('m', '1'), 'apply -f -'), /configmap\/m created/);
    await s.k('patch configmap m -p {"data":{"mine":"x"}}');
    assert.match(
      await s.refusedInput(map('m', '2'), 'diff -f -'),
      /exit code 1\n[\s\S]*\n- {2}a: "1"\n\+ {2}a: "2"\n/,
    );
    assert.match(await s.feed(map('m', '2'), 'apply --dry-run=server -f -'), /configured \(server dry run\)/);
    assert.match(await s.feed(map('m', '2'), 'apply --dry-run=client -f -'), /configured \(dry run\)/);
    assert.equal(await s.value('configmap m', '.data.a'), '1');
    assert.match(await s.feed(map('m', '2').replace('{a:', '{z:'), 'apply -f -'), /configured/);
    assert.deepEqual(JSON.parse(await s.k('get configmap m -o json')).data, { z: '2', mine: 'x' });
  },

  'replace, and replace of an older version': async (s) => {
    const old = await s.k('get configmap m -o json');
    assert.match(await s.feed(old.replace('"z": "2"', '"z": "3"'), 'replace -f -'), /configmap\/m replaced/);
    assert.equal(await s.value('configmap m', '.data.z'), '3');
    assert.match(await s.refusedInput(old, 'replace -f -'), /the object has been modified/);
    assert.match(await s.feed(map('m', '9'), 'replace --force -f -'), /configmap\/m replaced/);
    assert.match(await s.refusedInput(map('nosuch', '1'), 'replace -f -'), /configmaps "nosuch" not found/);
  },

  'edit with $EDITOR': async (s) => {
    const editor = s.file('editor');
    writeFileSync(editor, '#!/bin/sh\nsed -i \'s/a: "9"/a: "10"/\' "$1"\n', { mode: 0o755 });
    assert.match(await s.within({ KUBE_EDITOR: editor }, 'edit configmap m'), /configmap\/m edited/);
    assert.equal(await s.value('configmap m', '.data.a'), '10');
    writeFileSync(editor, '#!/bin/sh\nexit 0\n');
    assert.match(await s.within({ KUBE_EDITOR: editor }, 'edit configmap m'), /^(Edit cancelled.*)?$/m);
    assert.equal(await s.value('configmap m', '.data.a'), '10');
    writeFileSync(editor, '#!/bin/sh\nsed -i \'s/a: "10"/a: "11"/\' "$1"\n');
    await s.within({ KUBE_EDITOR: editor }, 'edit configmap m --field-manager=quill');
    const shown = s.minor >= 21 ? ' --show-managed-fields' : '';
    const { data, metadata } = JSON.parse(await s.k(`get configmap m -o json${shown}`));
    assert.deepEqual(data, { a: '11' });
    const quill = metadata.managedFields.find((each: { manager: string }) => each.manager === 'quill');
    assert.deepEqual([quill?.operation, quill?.fieldsV1], ['Update', { 'f:data': { 'f:a': {} } }]);
  },

  '--dry-run validates and stores nothing': async (s) => {
    assert.match(await s.k('create configmap dry --dry-run=server'), /created \(server dry run\)/);
    assert.match(await s.k('create configmap dry --dry-run=client -o yaml'), /^kind: ConfigMap$/m);
    assert.match(await s.refused('create configmap UPPER --dry-run=server'), /lowercase RFC 1123 subdomain/);
    assert.match(
      await s.k('delete deployment d --dry-run=server'),
      /deleted (from \S+ namespace )?\(server dry run\)/,
    );
    assert.match(await s.k('get deployment d -o name'), /deployment.apps\/d/);
    assert.match(await s.refused('get configmap dry'), /configmaps "dry" not found/);
  },

  'bad input is refused in upstream’s words': async (s) => {
    assert.match(
      await s.refusedInput(
        'apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n',
        'apply -f -',
      ),
      /spec.ports\[0\].port: Invalid value: 99999: must be between 1 and 65535, inclusive/,
    );
    assert.match(
      await s.refusedInput(map('m', '1').replace('\ndata', '\ndada'), 'create -f -'),
      /unknown field "dada"/,
    );
    assert.match(
      await s.refusedInput(map('m2', '1').replace('"1"', '1'), 'create --validate=false -f -'),
      /cannot unmarshal number/,
    );
    assert.match(await s.refused('create configmap c'), /configmaps "c" already exists/);
    assert.match(await s.refused('get nosuch'), /the server doesn't have a resource type "nosuch"/);
    assert.match(await s.refused('create configmap x -n nosuch'), /namespaces "nosuch" not found/);
  },
};
