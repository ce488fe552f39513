/** A copy that was not begun, or broke off. The target holds nothing of it, or says that it is incomplete. */
export class CopyError extends Error {
  readonly reason: 'not-empty' | 'incomplete' | 'foreign' | 'unusable';

  constructor(reason: CopyError['reason'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CopyError';
    this.reason = reason;
  }
}
