import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { core } from '@cloudless/kube/resources';
import { type ClusterConfig, contextOf, loadConfig } from '../cluster-config.ts';
import { resolve } from 'node:path';
import { formatMs } from '../progress.ts';
import { askSupervisor, type SupervisorStatus } from '../supervisor/control-socket.ts';

interface NodeLine {
  name: string;
  ready: string;
}

/** Prints what runs; exit code 0 when everything is ready, 3 when not running, 4 when not ready. */
export async function status(raw: { root: string; output: string }): Promise<void> {
  const root = resolve(raw.root);
  const config = loadConfig(root);
  if (!config) {
    process.stdout.write(`No cluster was ever started below ${root}. Start one with: cloudless up\n`);
    process.exitCode = 3;
    return;
  }
  const supervisor = await askSupervisor(contextOf(config), { command: 'status' }, 5000);
  const nodes =
    supervisor && config.role === 'up' ? await listNodes(config).catch(() => undefined) : undefined;
  if (raw.output === 'json')
    process.stdout.write(
      `${JSON.stringify({ config, supervisor: supervisor ?? null, nodes: nodes ?? null }, null, 2)}\n`,
    );
  else process.stdout.write(describe(config, supervisor, nodes));
  process.exitCode = !supervisor ? 3 : supervisor.ready ? 0 : 4;
}

async function listNodes(config: ClusterConfig): Promise<NodeLine[]> {
  const client = clientFromKubeconfig(contextOf(config).paths.adminKubeconfig);
  const nodes = await client.list(core.nodes, { signal: AbortSignal.timeout(3000) });
  return nodes.items.map((node) => ({
    name: node.metadata.name ?? '',
    ready: node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status ?? 'Unknown',
  }));
}

function describe(
  config: ClusterConfig,
  supervisor: SupervisorStatus | undefined,
  nodes: NodeLine[] | undefined,
): string {
  const lines = [`node        ${config.nodeName} (${config.nodeIp}), state below ${config.root}`];
  if (config.simulatedBecause !== undefined)
    lines.push(`runtime     SIMULATED, pods run no containers: ${config.simulatedBecause}`);
  else
    lines.push(
      `runtime     ${config.runtime}${config.runtime === 'simulated' ? ' (pods run no containers)' : ''}`,
    );
  if (!supervisor) return `${lines.join('\n')}\nnot running; start it with: cloudless up\n`;
  lines.push(`supervisor  ${supervisor.ready ? 'ready' : supervisor.step} (pid ${supervisor.pid})`);
  if (supervisor.failure) lines.push(`failed      ${supervisor.failure}`);
  for (const child of supervisor.children)
    lines.push(
      `${child.name.padEnd(14)}${child.state.padEnd(9)} pid ${child.pid ?? '-'}, ${formatMs(Date.now() - child.sinceMs)}, ${child.restarts} restarts${child.lastExit ? `, last ${child.lastExit}` : ''}`,
    );
  const balances = config.runtime !== 'simulated' && !config.disable.includes('loadbalancer');
  if (balances && !supervisor.children.some(({ name }) => name === 'speaker'))
    lines.push('speaker       idle: no IPAddressPool and no file of announcements');
  for (const node of nodes ?? []) lines.push(`node ${node.name}: Ready=${node.ready}`);
  return `${lines.join('\n')}\n`;
}
