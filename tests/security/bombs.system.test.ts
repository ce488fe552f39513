import { startVictimApart } from './apart.ts';
import { attackTest } from './attack.ts';
import { bombs } from './tables/bombs.ts';

attackTest(bombs, () => startVictimApart());
