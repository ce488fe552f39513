import { startVictimApart } from './apart.ts';
import { attackTest } from './attack.ts';
import { shortTimeouts, transport } from './tables/transport.ts';

attackTest(transport, () => startVictimApart(shortTimeouts));
