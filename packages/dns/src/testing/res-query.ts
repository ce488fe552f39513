/**
 * Asks as a program in a pod does, through the C library's resolver and its /etc/resolv.conf. Each argument is a question:
 * `query` (the name as it is) or `search` (along the search path), the name and the type's number, parted by commas. Prints
 * a line for each: the answer's bytes in hex, or nothing when the resolver has none (NXDOMAIN, NODATA, no server).
 */
import koffi from 'koffi';

type Ask = (name: string, classCode: number, type: number, answer: Buffer, length: number) => number;

const libc = koffi.load('libc.so.6');
const signature = '(const char *name, int class, int type, _Out_ uint8_t *answer, int length)';
const query = libc.func(`int res_query${signature}`) as Ask;
const search = libc.func(`int res_search${signature}`) as Ask;
const answer = Buffer.alloc(65_535);
for (const question of process.argv.slice(2)) {
  const [how, name = '', type] = question.split(',');
  const length = (how === 'search' ? search : query)(name, 1, Number(type), answer, answer.length);
  process.stdout.write(`${length < 0 ? '' : answer.toString('hex', 0, length)}\n`);
}
