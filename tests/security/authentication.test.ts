import { attackTest } from './attack.ts';
import { authentication } from './tables/authentication.ts';
import { startVictim } from './victim.ts';

attackTest(authentication, startVictim);
