// The entry: keeps compiled code beside the project, so that the next start does not strip types again, and goes on.
import module from 'node:module';
import { join } from 'node:path';

// Not in a folder that others can write: the cache is code.
module.enableCompileCache(join(import.meta.dirname, '..', '..', '..', '.cache', 'compiled'));
const { main } = await import('./program.ts');
await main();
