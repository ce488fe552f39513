/**
 * Splits a stream of bytes into lines. A line that lies within one chunk is handed on as a view of it, not a
 * copy; only one that spans chunks is joined. Empty lines are skipped; an unfinished last line is dropped, as a
 * watch that breaks leaves one.
 */
export async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  for await (const chunk of chunks) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, start);
      if (end < 0) break;
      let line = chunk.subarray(start, end);
      if (pending.length > 0) {
        pending.push(line);
        line = Buffer.concat(pending);
        pending = [];
      }
      if (line.length > 0) yield line;
      start = end + 1;
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
  }
}
