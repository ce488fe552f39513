import { attackTest } from './attack.ts';
import { admission } from './tables/admission.ts';
import { startVictim } from './victim.ts';

attackTest(admission, startVictim);
