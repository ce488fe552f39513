import { open } from 'node:fs/promises';
import type { ContainerStatus } from '../cri/generated/types.ts';
import { annotations } from './labels.ts';

/** Upstream: kubecontainer.MaxContainerTerminationMessageLength and …LogLength/…LogLines. */
const maxMessageBytes = 4096;
const maxLogBytes = 2048;
const maxLogLines = 80;

/**
 * What an ended container left to say (upstream: kuberuntime getTerminationMessage): its message file, or, where
 * the pod asked for it and the container failed with an empty one, the tail of its log. The runtime's own message
 * stands in front of it.
 */
export async function terminationMessage(status: ContainerStatus): Promise<string> {
  const inContainer = status.annotations[annotations.terminationMessagePath];
  const file = status.mounts.find((mount) => mount.containerPath === inContainer)?.hostPath;
  let text = file === undefined ? '' : await tailOf(file, maxMessageBytes);
  const fallback = status.annotations[annotations.terminationMessagePolicy] === 'FallbackToLogsOnError';
  if (text === '' && fallback && status.exitCode !== 0 && status.logPath !== '')
    text = await logTail(status.logPath);
  if (status.message === '') return text;
  return text === '' ? status.message : `${status.message}: ${text}`;
}

async function tailOf(path: string, bytes: number): Promise<string> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await file.read(buffer, 0, length, size - length);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}

/** The last lines of a CRI log (`TIME STREAM TAG TEXT`), text only. */
async function logTail(path: string): Promise<string> {
  // A line carries about 40 bytes of its own in front of the text.
  const raw = await tailOf(path, maxLogBytes + maxLogLines * 48);
  const lines = raw
    .split('\n')
    .filter((line) => line !== '')
    .slice(-maxLogLines);
  let text = '';
  for (const line of lines) {
    const parts = /^\S+ (?:stdout|stderr) (\S+) (.*)$/.exec(line);
    if (parts) text += parts[2]! + (parts[1] === 'P' ? '' : '\n');
  }
  return text.slice(-maxLogBytes);
}
