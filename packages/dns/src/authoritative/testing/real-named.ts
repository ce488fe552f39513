import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPeer, type Peer } from '@cloudless/kube/testing/peers';
import { emptyMessage, type Message, parseMessage, plainEdns, writeMessage } from '../../wire/message.ts';
import { classIn } from '../../wire/types.ts';

/** A real BIND that serves zones, to compare answers with. */
export interface RealNamed {
  /** Asks by UDP; answers come in the order of the questions. */
  ask(questions: readonly { name: string; type: number }[]): Promise<Message[]>;
  stop(): Promise<void>;
}

/** Starts named on loopback with these zones, by origin. Rejects with what it said when it does not come up. */
export async function startNamed(port: number, zones: ReadonlyMap<string, string>): Promise<RealNamed> {
  const folder = mkdtempSync(join(tmpdir(), 'named-'));
  const stated = [...zones].map(([origin, text], i) => {
    writeFileSync(join(folder, `zone-${i}`), text);
    return `zone "${origin}." { type primary; file "zone-${i}"; check-names ignore; };`;
  });
  const settings = [
    `directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };`,
    'pid-file none; lock-file none; session-keyfile "session.key"; recursion no; allow-query { any; };',
    'minimal-responses no-auth; dnssec-validation no; zero-no-soa-ttl no; notify no; empty-zones-enable no; check-integrity no; check-mx ignore;',
    'check-srv-cname ignore; check-mx-cname ignore; answer-cookie no;',
  ];
  writeFileSync(
    join(folder, 'named.conf'),
    `options { ${settings.join('\n')} };\ncontrols { };\n${stated.join('\n')}\n`,
  );
  const { program, env } = findPeer('named') as Peer;
  const child = spawn(program, ['-g', '-n', '1', '-c', join(folder, 'named.conf')], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(folder, { recursive: true });
  };
  try {
    await running(child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ask: (questions) => ask(port, questions), stop };
}

function running(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += String(chunk);
      if (/ running$/m.test(said)) resolve();
    });
    child.once('exit', () => reject(new Error(`named ended: ${said}`)));
  });
}

/** Questions under way at a time: few enough for a socket's buffer. */
const batch = 32;

async function ask(port: number, questions: readonly { name: string; type: number }[]): Promise<Message[]> {
  const answers: Message[] = [];
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await new Promise((resolve) => void socket.once('connect', resolve));
  try {
    for (let start = 0; start < questions.length; start += batch) {
      const some = questions.slice(start, start + batch);
      await new Promise<void>((resolve, reject) => {
        let missing = some.length;
        const late = setTimeout(
          () => reject(new Error(`named left ${missing} questions without an answer`)),
          5000,
        );
        socket.removeAllListeners('message');
        socket.on('message', (bytes) => {
          const answer = parseMessage(bytes);
          answers[start + answer.id] = answer;
          if (--missing > 0) return;
          clearTimeout(late);
          resolve();
        });
        some.forEach(({ name, type }, id) => {
          const edns = { ...plainEdns, udpSize: 4096 };
          const message = { ...emptyMessage, id, questions: [{ name, type, class: classIn }], edns };
          socket.send(writeMessage(message));
        });
      });
    }
  } finally {
    socket.close();
  }
  return answers;
}
