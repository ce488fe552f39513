import type { ClusterConfig } from '../cluster-config.ts';
import { report, stopRequested } from './report.ts';
export async function runNodeAgent(_c: ClusterConfig): Promise<void> { const s = stopRequested(); report({type:'ready'}); await s; }
