import { runProgram } from './run-program.ts';

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
