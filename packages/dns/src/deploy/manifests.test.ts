import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import { clusterRules, namespaceRules } from '../external/rbac.ts';
import { clusterDnsDeployment, externalDnsDeployment, externalPodLabels } from './manifests.ts';

interface Deployment extends KubeObject {
  spec: {
    replicas: number;
    selector: { matchLabels: Record<string, string> };
    template: {
      metadata: { labels: Record<string, string> };
      spec: {
        serviceAccountName: string;
        securityContext: Record<string, unknown>;
        containers: Array<{
          image: string;
          args: string[];
          ports: Array<{ name: string; containerPort: number; protocol?: string }>;
          securityContext: Record<string, unknown>;
        }>;
      };
    };
  };
}

const external = externalDnsDeployment({ image: 'registry.test/cloudless:1', namespace: 'elsewhere' });
const cluster = clusterDnsDeployment({ image: 'registry.test/cloudless:1', clusterIp: '10.43.0.10' });
const deploymentOf = (all: typeof external): Deployment =>
  all.find(({ object }) => object.kind === 'Deployment')?.object as Deployment;

describe('DNS as pods', () => {
  for (const [name, manifests] of Object.entries({ external, cluster }))
    it(`${name}: unprivileged, several, and with nothing left to fill in`, () => {
      const { spec } = deploymentOf(manifests);
      const pod = spec.template.spec;
      const [container] = pod.containers;
      assert.ok(spec.replicas > 1);
      assert.equal(container?.image, 'registry.test/cloudless:1');
      assert.deepEqual(
        [pod.securityContext['runAsNonRoot'], pod.securityContext['runAsUser']],
        [true, 65_534],
      );
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      assert.ok(container.ports.every(({ containerPort }) => containerPort > 1023));
      const [listen] = container.args.filter((arg) => arg.startsWith('--listen='));
      const dns = container.ports.filter(({ name: port }) => port === 'dns' || port === 'dns-tcp');
      assert.ok(dns.every(({ containerPort }) => listen === `--listen=$(POD_IP):${containerPort}`));
      for (const [key, value] of Object.entries(spec.selector.matchLabels))
        assert.equal(spec.template.metadata.labels[key], value);
      assert.ok(
        manifests.some(
          ({ object }) => object.kind === 'ServiceAccount' && object.metadata.name === pod.serviceAccountName,
        ),
      );
      assert.doesNotMatch(JSON.stringify(manifests), /IMAGE|CLUSTER_IP"|_RULES/);
    });

  it('the authoritative DNS follows its namespace, and has the rights that it says it needs', () => {
    for (const { object, resource } of external) {
      if (resource.namespaced) assert.equal(object.metadata.namespace, 'elsewhere');
    }
    const rules = (kind: string): unknown => {
      const role = external.find(({ object }) => object.kind === kind)?.object;
      return (role as { rules?: unknown } | undefined)?.rules;
    };
    assert.deepEqual(rules('ClusterRole'), clusterRules);
    assert.deepEqual(rules('Role'), namespaceRules);
    assert.deepEqual(deploymentOf(external).spec.selector.matchLabels, externalPodLabels);
  });

  it("cluster DNS takes the Service's address", () => {
    const service = cluster.find(({ object }) => object.kind === 'Service')?.object;
    assert.equal((service as { spec?: { clusterIP?: string } } | undefined)?.spec?.clusterIP, '10.43.0.10');
    assert.ok(
      deploymentOf(cluster).spec.template.spec.containers[0]?.args.includes('--cluster-ip=10.43.0.10'),
    );
  });
});
