import type { Logger } from '@cloudless/kube/logger';

/**
 * From here on a mistake in the handling of one event, whose promise or callback nobody guards, ends that alone: it is
 * told, and what serves all others goes on. Mistakes that lose a part's state are that part's to tell of, as the
 * datastore does.
 */
export function outliveMistakes(log: Logger): void {
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'nobody waited for what failed'));
  process.on('uncaughtException', (error) => log.error({ err: error }, 'nobody caught what was thrown'));
}
