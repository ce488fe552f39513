import { attackTest } from './attack.ts';
import { objects } from './tables/objects.ts';
import { startVictim } from './victim.ts';

attackTest(objects, startVictim);
