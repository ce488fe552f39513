import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { Container, Pod, PodSpec } from '@cloudless/kube/types/core-v1';
import { MemoryCaches } from '../../testing/memory-caches.ts';
import type { AdmissionRequest } from '../plugin.ts';
import { PodSecurity, violations } from './index.ts';
import { latestMinor, policyOf } from './policy.ts';

const hardened: Container = {
  name: 'c',
  image: 'i',
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
};
const good: PodSpec = {
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [hardened],
};
const container = (more: Partial<Container>): PodSpec => ({
  ...good,
  containers: [{ ...hardened, ...more }],
});
const secured = (more: object): PodSpec =>
  container({ securityContext: { ...hardened.securityContext, ...more } });
const onPod = (more: object): PodSpec => ({ ...good, securityContext: { ...good.securityContext, ...more } });
const said = (
  level: 'baseline' | 'restricted',
  spec: PodSpec,
  minor = latestMinor,
  annotations = {},
): string =>
  violations({ metadata: { annotations }, spec }, { level, minor, text: '' })
    .map(({ reason, detail }) => `${reason} (${detail})`)
    .join(', ');

describe('baseline', () => {
  const table: Array<[PodSpec, string]> = [
    [{ containers: [{ name: 'c', image: 'i' }] }, ''],
    [{ ...good, hostNetwork: true, hostIPC: true }, 'host namespaces (hostNetwork=true, hostIPC=true)'],
    [
      secured({ privileged: true }),
      'privileged (container "c" must not set securityContext.privileged=true)',
    ],
    [
      { ...good, initContainers: [{ name: 'i', image: 'i', securityContext: { privileged: true } }] },
      'privileged (container "i" must not set securityContext.privileged=true)',
    ],
    [
      { ...good, ephemeralContainers: [{ name: 'e', image: 'i', securityContext: { privileged: true } }] },
      'privileged (container "e" must not set securityContext.privileged=true)',
    ],
    [
      secured({ capabilities: { add: ['NET_ADMIN', 'CHOWN', 'BPF'] } }),
      'non-default capabilities (container "c" must not include "BPF", "NET_ADMIN" in securityContext.capabilities.add)',
    ],
    [{ ...good, volumes: [{ name: 'v', hostPath: { path: '/' } }] }, 'hostPath volumes (volume "v")'],
    [container({ ports: [{ containerPort: 1, hostPort: 80 }] }), 'hostPort (container "c" uses hostPort 80)'],
    [
      container({ livenessProbe: { httpGet: { port: 80, host: 'x' } } }),
      'probe or lifecycle host (container "c" uses probe or lifecycle host "x")',
    ],
    [
      onPod({ appArmorProfile: { type: 'Unconfined' } }),
      'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
    ],
    [
      onPod({ seccompProfile: { type: 'Unconfined' } }),
      'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
    ],
    [
      onPod({ seLinuxOptions: { type: 'spc_t', user: 'u' } }),
      'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
    ],
    [
      secured({ procMount: 'Unmasked' }),
      'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
    ],
    [
      onPod({
        sysctls: [
          { name: 'kernel.msgmax', value: '1' },
          { name: 'net.ipv4.tcp_rmem', value: '1' },
        ],
      }),
      'forbidden sysctls (kernel.msgmax)',
    ],
    [onPod({ sysctls: [{ name: 'constructor', value: '1' }] }), 'forbidden sysctls (constructor)'],
    [
      onPod({ windowsOptions: { hostProcess: true } }),
      'hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)',
    ],
  ];
  for (const [spec, expected] of table)
    it(expected === '' ? 'allows a plain pod' : expected, () =>
      assert.equal(said('baseline', spec), expected),
    );

  it('knows annotations of old', () => {
    const annotations = { 'container.apparmor.security.beta.kubernetes.io/c': 'unconfined' };
    assert.match(
      said('baseline', good, latestMinor, annotations),
      /^forbidden AppArmor profile \(annotation must not/,
    );
  });

  it('of an older version is that version', () => {
    const spec = onPod({ sysctls: [{ name: 'net.ipv4.tcp_rmem', value: '1' }] });
    assert.equal(said('baseline', spec, 31), 'forbidden sysctls (net.ipv4.tcp_rmem)');
    assert.equal(said('baseline', spec, 32), '');
  });
});

describe('restricted', () => {
  it('allows a hardened pod', () => assert.equal(said('restricted', good), ''));

  it('tells a plain pod everything at once, in upstream’s words', () => {
    assert.equal(
      said('restricted', {
        containers: [
          { name: 'a', image: 'i' },
          { name: 'b', image: 'i' },
        ],
      }),
      'allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), ' +
        'unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), ' +
        'runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), ' +
        'seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    );
  });

  const table: Array<[PodSpec, string]> = [
    [
      {
        ...good,
        volumes: [
          { name: 'v', hostPath: { path: '/' } },
          { name: 'w', emptyDir: {} },
        ],
      },
      'restricted volume types (volume "v" uses restricted volume type "hostPath")',
    ],
    [
      secured({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE', 'CHOWN'] } }),
      'unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add)',
    ],
    [
      secured({ runAsNonRoot: false }),
      'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false)',
    ],
    [onPod({ runAsUser: 0 }), 'runAsUser=0 (pod must not set runAsUser=0)'],
    [
      secured({ privileged: true, allowPrivilegeEscalation: true }),
      'privileged (container "c" must not set securityContext.privileged=true), allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false)',
    ],
    [{ ...onPod({ runAsUser: 0, runAsNonRoot: false }), hostUsers: false }, ''],
  ];
  for (const [spec, expected] of table)
    it(expected === '' ? 'lets root be inside a user namespace' : expected, () =>
      assert.equal(said('restricted', spec), expected),
    );
});

describe('labels', () => {
  it('what enforcement cannot understand is restricted; warnings follow enforcement', () => {
    const label = (name: string, value: string) => ({ [`pod-security.kubernetes.io/${name}`]: value });
    assert.equal(policyOf(undefined).policy.enforce.text, 'privileged:latest');
    assert.equal(policyOf(label('enforce', 'baseline')).policy.warn.text, 'baseline:latest');
    const odd = policyOf({ ...label('enforce', 'strict'), ...label('enforce-version', '1.2') });
    assert.equal(odd.policy.enforce.level, 'restricted');
    assert.equal(odd.policy.warn.level, 'privileged');
    assert.equal(odd.problems.length, 2);
    assert.equal(
      policyOf({ ...label('enforce', 'baseline'), ...label('enforce-version', 'v1.30') }).policy.enforce.text,
      'baseline:v1.30',
    );
  });
});

describe('the plugin', () => {
  const caches = new MemoryCaches();
  caches.put(core.namespaces, {
    metadata: { name: 'hard', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  });
  const plugin = new PodSecurity({ caches });
  const ask = async (what: Partial<AdmissionRequest>): Promise<string[]> => {
    const warnings: string[] = [];
    await plugin.validate({
      operation: 'CREATE',
      user: { name: 'jo', groups: [] },
      resource: core.pods,
      subresource: '',
      namespace: 'hard',
      name: 'p',
      object: undefined,
      oldObject: undefined,
      options: {},
      dryRun: false,
      transaction: undefined,
      warn: (text) => warnings.push(text),
      ...what,
    });
    return warnings;
  };
  const plain: Pod = {
    metadata: { name: 'p', namespace: 'hard' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  };

  it('refuses pods, and warns of what would make them', async () => {
    await assert.rejects(
      ask({ object: plain }),
      (error: unknown) =>
        error instanceof StatusError &&
        error.code === 403 &&
        error.message.startsWith(
          'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation',
        ),
    );
    const { apps } = await import('@cloudless/kube/resources');
    const template = { metadata: {}, spec: plain.spec };
    const deployment = { metadata: { name: 'd' }, spec: { selector: {}, template } };
    const [warning] = await ask({ resource: apps.deployments, object: deployment });
    assert.match(warning ?? '', /^would violate PodSecurity "restricted:latest": /);
  });

  it('lets what runs already change in other ways', async () => {
    const tolerating = { ...plain, spec: { ...plain.spec, tolerations: [{ operator: 'Exists' }] } } as Pod;
    assert.deepEqual(await ask({ operation: 'UPDATE', object: tolerating, oldObject: plain }), []);
    const other = { ...plain, spec: { containers: [{ name: 'c', image: 'other' }] } };
    await assert.rejects(
      ask({ operation: 'UPDATE', object: other, oldObject: plain }),
      /violates PodSecurity/,
    );
  });

  it('tells who tightens a namespace which pods would not pass', async () => {
    caches.put(core.pods, { ...plain, metadata: { name: 'old', namespace: 'soft' } });
    const soft = { metadata: { name: 'soft' } };
    const tight = {
      metadata: { name: 'soft', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    };
    const warnings = await ask({
      operation: 'UPDATE',
      resource: core.namespaces,
      namespace: '',
      name: 'soft',
      object: tight,
      oldObject: soft,
    });
    assert.equal(
      warnings[0],
      'existing pods in namespace "soft" violate the new PodSecurity enforce level "restricted:latest"',
    );
    assert.match(warnings[1] ?? '', /^old: allowPrivilegeEscalation != false, unrestricted capabilities/);
    const wrong = { metadata: { name: 'soft', labels: { 'pod-security.kubernetes.io/enforce': 'strict' } } };
    await assert.rejects(
      ask({
        operation: 'UPDATE',
        resource: core.namespaces,
        namespace: '',
        name: 'soft',
        object: wrong,
        oldObject: soft,
      }),
      /metadata.labels\[pod-security.kubernetes.io\/enforce\]: Invalid value: "strict": must be one of privileged, baseline, restricted/,
    );
  });
});
