import { execFile } from 'node:child_process';
import { findPeer, type Peer } from '@cloudless/kube/testing/peers';

/** What named-compilezone makes of a master file. */
export interface Compiled {
  /** In BIND's own form and order; undefined: refused. */
  readonly text: string | undefined;
  /** What it said about it. */
  readonly said: string;
}

/** Runs BIND's named-compilezone on a file, or on text; names that files include are in `folder`. */
export async function compileByBind(
  origin: string,
  input: { file: string } | { text: string },
  folder: string,
): Promise<Compiled> {
  const { program, env } = findPeer('named-compilezone') as Peer;
  // Checks of names are warnings, as in named-checkzone, and nothing is asked from other servers.
  const flags = ['-i', 'local', '-n', 'warn', '-k', 'warn', '-m', 'warn', '-M', 'warn', '-S', 'warn'];
  const file = 'file' in input ? input.file : '-';
  return new Promise((resolve) => {
    const args = [...flags, '-o', '-', origin === '' ? '.' : origin, file];
    const child = execFile(program, args, { cwd: folder, env, maxBuffer: 1e8 }, (error, stdout, stderr) =>
      resolve({ text: error ? undefined : stdout, said: stderr }),
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end('text' in input ? input.text : '');
  });
}
