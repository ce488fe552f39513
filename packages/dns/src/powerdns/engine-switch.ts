import { type Running, running } from '@cloudless/kube/lifecycle';
import type { ExternalDnsConfig } from '../external/config.ts';
import type { PowerDnsEngine, PowerDnsEngineOptions } from './engine.ts';

export interface EngineSwitch extends Running {
  /** What the configuration says now. */
  use(engine: ExternalDnsConfig['engine']): void;
  /** What keeps a PowerDNS from having every zone; undefined: nothing, or none is fed. */
  readonly problem: string | undefined;
}

/** Feeds the PowerDNS that the configuration names, if it names one; nothing of that is loaded before. */
export function engineSwitch(options: Omit<PowerDnsEngineOptions, 'url' | 'key'>): EngineSwitch {
  let wanted = '';
  let engine: PowerDnsEngine | undefined;
  let work: Promise<void> = Promise.resolve();
  const change = async (to: ExternalDnsConfig['engine']): Promise<void> => {
    await engine?.stop();
    engine = undefined;
    if (to.name === 'own') return;
    const { startPowerDnsEngine } = await import('./engine.ts');
    engine = startPowerDnsEngine({ ...options, url: to.url, key: to.key });
  };
  return {
    use(to) {
      const text = JSON.stringify(to);
      if (text === wanted || (wanted === '' && to.name === 'own')) return;
      wanted = text;
      work = work.then(() => change(to));
    },
    get problem() {
      return engine?.problem;
    },
    ...running(async () => {
      await work;
      await engine?.stop();
    }),
  };
}
