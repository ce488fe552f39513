import { execFile } from 'node:child_process';

/** `ip` refused; the message holds what it said and what was asked. */
export class IpRouteError extends Error {
  override readonly name = 'IpRouteError';
}

/** Runs a program with text on its standard input; resolves to its output, rejects with an {@link IpRouteError}. */
export function runProgram(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { maxBuffer: 1 << 24, timeout: 30_000 },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else if ((error as NodeJS.ErrnoException).code === 'ENOENT')
          reject(
            new IpRouteError(
              `${program} is not installed: install the Debian package iproute2 (ip) or util-linux (nsenter)`,
            ),
          );
        else
          reject(
            new IpRouteError(
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

/** Runs commands of `ip -batch` in this network namespace; stops at the first that fails. */
export function ipBatch(commands: readonly string[]): Promise<string> {
  return runProgram('ip', ['-batch', '-'], `${commands.join('\n')}\n`);
}

/** The same in the network namespace mounted at `netnsPath`. */
export function ipBatchIn(netnsPath: string, commands: readonly string[]): Promise<string> {
  return runProgram('nsenter', [`--net=${netnsPath}`, 'ip', '-batch', '-'], `${commands.join('\n')}\n`);
}

/** `ip -json ARGS`, parsed. */
export async function ipJson<T>(args: readonly string[]): Promise<T[]> {
  const text = await runProgram('ip', ['-json', ...args]);
  return (text.trim() === '' ? [] : JSON.parse(text)) as T[];
}
