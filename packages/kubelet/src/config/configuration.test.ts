import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ConfigurationError, parseKubeletConfiguration } from './configuration.ts';

void describe('KubeletConfiguration', () => {
  void it('is read out of a kubeadm file with other kinds', () => {
    const text = readFileSync(new URL('../../../../tests/talk/kubeadm.yaml', import.meta.url), 'utf8');
    const { config, warnings } = parseKubeletConfiguration(text);
    assert.equal(config.resolvConf, '/etc/resolv-k8s.conf');
    assert.equal(config.shutdownGracePeriodMs, 40_000);
    assert.equal(config.shutdownGracePeriodCriticalPodsMs, 20_000);
    assert.deepEqual(warnings, []);
  });
  void it('has upstream’s defaults', () => {
    const { config } = parseKubeletConfiguration({});
    assert.equal(config.maxPods, 110);
    assert.equal(config.nodeStatusReportFrequencyMs, 300_000);
  });
  void it('tells every problem with its field', () => {
    const bad = {
      maxPods: 'many',
      clusterDNS: '10.96.0.10',
      cgroupDriver: 'none',
      shutdownGracePeriod: '10',
      evictionHard: [],
      systemReserved: { cpu: 'x' },
      resolvConf: 'here',
    };
    assert.throws(
      () => parseKubeletConfiguration(bad),
      (error: unknown) => {
        assert.ok(error instanceof ConfigurationError);
        assert.deepEqual(error.problems, [
          'maxPods must be a whole number of at least 0',
          'clusterDNS must be a list of texts',
          'cgroupDriver must be one of systemd, cgroupfs',
          'shutdownGracePeriod must be a duration such as "40s" or "1m30s", not "10"',
          'evictionHard must map names to texts',
          'systemReserved.cpu must be a quantity such as "100Mi", not "x"',
          'resolvConf must be an absolute path, or empty',
        ]);
        return true;
      },
    );
  });
  void it('warns of what it does not use', () => {
    assert.deepEqual(parseKubeletConfiguration({ cpuManagerPolicy: 'static' }).warnings, [
      'cpuManagerPolicy is not used by this kubelet',
    ]);
  });
});
