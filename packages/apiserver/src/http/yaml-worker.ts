import { parentPort } from 'node:worker_threads';
import { stringifyJson } from '@cloudless/kube/codec/json';
import { parseYaml } from '@cloudless/kube/codec/yaml';
import type { ReadYaml } from '../request/body.ts';

/** One YAML text as JSON, or why it is none. */
function read(bytes: Uint8Array): ReadYaml {
  const duplicates: string[] = [];
  try {
    const value = parseYaml(Buffer.from(bytes).toString('utf8'), {
      onDuplicate: (text) => duplicates.push(text),
    });
    return { json: Buffer.from(stringifyJson(value)), duplicates };
  } catch (cause) {
    return { failure: cause instanceof Error ? cause.message : String(cause) };
  }
}

parentPort?.on('message', ({ id, bytes }: { id: number; bytes: Uint8Array }) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage({ id, read: read(bytes) });
});
