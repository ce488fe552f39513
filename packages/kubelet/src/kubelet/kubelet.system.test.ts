import { nodeContext } from '@cloudless/kube/node/context';
import { testImage } from '../image/testing.ts';
import { kubeletCompliance } from '../testing/kubelet-compliance.ts';
import { startTestNode } from '../testing/node.ts';

/** Runs until told its exit code through a file. */
const script = 'trap "exit 0" TERM; touch /well; while [ ! -e /end ]; do sleep 0.05; done; exit $(cat /end)';

kubeletCompliance('containerd', async () => {
  const node = await startTestNode('kubelet');
  // An image id names the same image as its tag does.
  const { image } = await node.cri.imageStatus({ image: { image: testImage } });
  const sameImage = image!.id;
  const shell = async (containerId: string, text: string): Promise<void> => {
    await node.cri.execSync({ containerId, cmd: ['sh', '-c', text], timeout: 5n });
  };
  return {
    context: nodeContext({ root: node.context.root, nodeName: 'node-a' }),
    cri: node.cri,
    simulated: false,
    image: testImage,
    sameImage,
    main: { command: ['sh', '-c', script] },
    probe: { command: ['test', '-e', '/well'] },
    end: (containerId, exitCode) => shell(containerId, `echo ${exitCode} > /end.new && mv /end.new /end`),
    setHealth: (containerId, healthy) => shell(containerId, healthy ? 'touch /well' : 'rm -f /well'),
    dispose: () => node.dispose(),
  };
});
