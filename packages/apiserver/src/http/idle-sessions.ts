import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Clock } from '@cloudless/kube/clock';

interface Activity {
  open: number;
  /** When the last stream ended, or the session began. */
  sinceMs: number;
}

/**
 * Ends HTTP/2 sessions that had no stream for `idleMs`: Node knows such a limit for HTTP/1.1 only. What is not gone one
 * sweep after its GOAWAY is cut.
 */
export function endIdleSessions(options: { clock: Clock; idleMs: number; sweepMs: number }): {
  watch(session: ServerHttp2Session): void;
  stop(): void;
} {
  const { clock, idleMs, sweepMs } = options;
  const sessions = new Map<ServerHttp2Session, Activity>();
  let timer = clock.setTimeout(sweep, sweepMs);
  function sweep(): void {
    const beforeMs = clock.monotonicMs() - idleMs;
    for (const [session, { open, sinceMs }] of sessions) {
      if (session.closed && sinceMs < beforeMs - sweepMs) session.destroy();
      else if (open === 0 && sinceMs < beforeMs) session.close();
    }
    timer = clock.setTimeout(sweep, sweepMs);
  }
  return {
    watch(session) {
      const activity: Activity = { open: 0, sinceMs: clock.monotonicMs() };
      const ended = (): void => {
        activity.open--;
        activity.sinceMs = clock.monotonicMs();
      };
      sessions.set(session, activity);
      session.on('stream', (stream: ServerHttp2Stream) => {
        activity.open++;
        stream.once('close', ended);
      });
      session.once('close', () => sessions.delete(session));
    },
    stop: () => timer.cancel(),
  };
}
