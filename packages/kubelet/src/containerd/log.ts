import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  statSync,
  truncateSync,
} from 'node:fs';

const largestBytes = 16 * 1024 * 1024;
const checkMs = 10 * 60 * 1000;

/**
 * Keeps a log that another process appends to (O_APPEND) under 16 MiB, with one copy `.1` of what was cut.
 * Returns the function that ends it.
 */
export function keepLogShort(path: string): () => void {
  const check = (): void => {
    if (!existsSync(path) || statSync(path).size < largestBytes) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
  };
  check();
  const timer = setInterval(check, checkMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Said at every start before the network has written its configuration, and for plug-ins left out on purpose. */
const harmless = /failed to load cni|skip loading plugin/;

const telling = /level=(error|fatal)|failed to load plugin|^containerd: /;

/** A field of a log line in logfmt. */
const field = (line: string, name: string): string | undefined => {
  const match = new RegExp(`\\b${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|(\\S+))`).exec(line);
  return match?.[1] ?? match?.[2];
};

const tailBytes = 16 * 1024;

const startMark = 'msg="starting containerd"';

/**
 * The first two errors of the latest start in containerd's log as `: a; b`, or nothing: those after them mostly came of
 * them.
 */
export function lastErrors(path: string): string {
  if (!existsSync(path)) return '';
  const file = openSync(path, 'r');
  try {
    const size = fstatSync(file).size;
    const buffer = Buffer.alloc(Math.min(size, tailBytes));
    readSync(file, buffer, 0, buffer.length, size - buffer.length);
    const text = buffer.toString('utf8');
    const found = text
      .slice(Math.max(0, text.lastIndexOf(startMark)))
      .split('\n')
      .filter((line) => telling.test(line) && !harmless.test(line))
      .map((line) => [field(line, 'msg') ?? line, field(line, 'error')].filter(Boolean).join(': '))
      .slice(0, 2);
    return found.length === 0 ? '' : `: ${found.join('; ')}`;
  } finally {
    closeSync(file);
  }
}
