import { attackTest } from './attack.ts';
import { authorization } from './tables/authorization.ts';
import { startVictim } from './victim.ts';

attackTest(authorization, startVictim);
