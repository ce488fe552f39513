/** Why containers cannot be run here. */
export type ContainerdProblem =
  | 'not-linux'
  | 'not-root'
  | 'no-mount-right'
  | 'missing-program'
  | 'path-too-long'
  | 'other-mount-namespace'
  | 'cri-disabled'
  | 'not-ready'
  | 'cannot-start';

/** The container runtime cannot be had; the message names the thing, the place and the remedy. */
export class ContainerdError extends Error {
  readonly problem: ContainerdProblem;

  constructor(problem: ContainerdProblem, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ContainerdError';
    this.problem = problem;
  }
}
