import type { ApiServer } from '@cloudless/apiserver/server/options';
import type { Running } from '@cloudless/kube/lifecycle';
import type { NodeContext } from '@cloudless/kube/node/context';
import type { ClusterConfig } from '../cluster-config.ts';

export async function startControllersAndScheduler(_c: ClusterConfig, _n: NodeContext, _a: ApiServer): Promise<Running[]> { return []; }
