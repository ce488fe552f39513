import { execFile } from 'node:child_process';

/** A program of the system refused; the message holds what it said and what was asked. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
}

const debianPackages: Record<string, string> = {
  ip: 'iproute2',
  nsenter: 'util-linux',
  conntrack: 'conntrack',
  nft: 'nftables',
};

const programMs = 30_000;

/** Runs a program with text on its standard input; resolves to its output, rejects with a {@link ProgramError}. */
export function runProgram(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { maxBuffer: 1 << 24, timeout: programMs },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else if ((error as NodeJS.ErrnoException).code === 'ENOENT')
          reject(
            new ProgramError(
              `${program} is not installed: install the Debian package ${debianPackages[program] ?? program}`,
            ),
          );
        else
          reject(
            new ProgramError(
              `${program} ${args.join(' ')}: ${stderr.trim() || error.message}\n${input}`.trim(),
              { cause: error },
            ),
          );
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}
