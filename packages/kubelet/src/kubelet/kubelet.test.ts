import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cloudless/kube/clock';
import { nodeContext } from '@cloudless/kube/node/context';
import { simulatedRuntime } from '../index.ts';
import { kubeletCompliance } from '../testing/kubelet-compliance.ts';

kubeletCompliance('the simulated runtime', async () => {
  const root = mkdtempSync(join(tmpdir(), 'cl-kubelet-'));
  const cri = simulatedRuntime({ clock: systemClock, podCidr: '10.9.0.0/24' });
  const ill = new Set<string>();
  cri.answerExec((containerId) => (ill.has(containerId) ? { exitCode: 1, output: 'ill' } : { exitCode: 0 }));
  return {
    context: nodeContext({ root, nodeName: 'node-a' }),
    cri,
    simulated: true,
    image: 'example.com/app:1',
    sameImage: 'example.com/app:2',
    main: {},
    probe: { command: ['test', '-e', '/well'] },
    end: async (containerId, exitCode) => cri.exit(containerId, exitCode),
    setHealth: async (containerId, healthy) =>
      void (healthy ? ill.delete(containerId) : ill.add(containerId)),
    dispose: async () => rmSync(root, { recursive: true, force: true }),
  };
});
