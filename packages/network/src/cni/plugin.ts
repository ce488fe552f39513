// The CNI plugin that containerd runs: hands the request to the network agent over its unix socket and prints the
// answer. It imports nothing but node:net, because a pod's start waits for it. CNI specification 1.0.0.
import { connect } from 'node:net';

const socketPath = process.argv[2] ?? '';
const version = '1.0.0';
/** "Try again later" is what the specification offers for a plugin that is not ready. */
const tryAgainLater = 11;

function fail(details: string): void {
  const msg = `the Cloudless network agent does not answer at ${socketPath}: is the node agent running?`;
  process.stdout.write(JSON.stringify({ cniVersion: version, code: tryAgainLater, msg, details }));
  process.exitCode = 1;
}

function print(answer: string): void {
  let reply: { exitCode: number; output: unknown };
  try {
    reply = JSON.parse(answer) as typeof reply;
  } catch {
    fail('the agent ended in the middle of its answer');
    return;
  }
  if (reply.output !== undefined) process.stdout.write(JSON.stringify(reply.output));
  process.exitCode = reply.exitCode;
}

function handOver(config: string): void {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => name.startsWith('CNI_')),
  );
  if (environment['CNI_COMMAND'] === 'VERSION') {
    process.stdout.write(
      JSON.stringify({ cniVersion: version, supportedVersions: ['0.3.1', '0.4.0', version] }),
    );
    return;
  }
  const socket = connect(socketPath);
  let answer = '';
  socket.setEncoding('utf8');
  socket.setTimeout(60_000, () => socket.destroy(new Error('no answer within 60 s')));
  socket.on('error', (error) => fail(error.message));
  socket.on('data', (chunk: string) => (answer += chunk));
  socket.on('end', () => print(answer));
  socket.end(JSON.stringify({ environment, config }));
}

let input = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (chunk: string) => (input += chunk));
process.stdin.on('end', () => handOver(input));
