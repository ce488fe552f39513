/** What a failed command prints before its reason. */
export const errorPrefix = 'cloudless: ';

const remedies: Record<string, string> = {
  EACCES: 'run this as root, or keep the state in a folder of your own with --root',
  EPERM: 'run this as root, or keep the state in a folder of your own with --root',
  ENOSPC: 'the disk is full: make room',
  EROFS: 'the file system is read-only: choose another folder with --root',
  EMFILE: 'too many files are open: raise the limit (ulimit -n)',
};

/**
 * An error as a person should see it: the sentence of a named error, what the system said of a file or address with its
 * remedy, and the stack of anything else, because that is a mistake in this program.
 */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code !== undefined && syscall !== undefined) {
    const remedy = remedies[code];
    return remedy === undefined ? error.message : `${error.message}: ${remedy}`;
  }
  const ofThisProgram = [
    'Error',
    'TypeError',
    'RangeError',
    'ReferenceError',
    'SyntaxError',
    'AssertionError',
  ];
  return ofThisProgram.includes(error.name) ? (error.stack ?? error.message) : error.message;
}
