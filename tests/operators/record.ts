/**
 * Notes what upstream's own server answers to the cases, opt-in: start a kube-apiserver of the release we follow on an
 * etcd, then `SERVER=https://127.0.0.1:6443 TOKEN=… CA=apiserver.crt node tests/operators/record.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { definitionsOf, fileOf, operators } from './operators.ts';
import { install, judge, type Target, type Verdicts } from './runner.ts';

const { SERVER, TOKEN, CA } = process.env;
if (!SERVER || !TOKEN || !CA) throw new Error('SERVER, TOKEN and CA (a file) say which server to ask');
const target: Target = {
  url: SERVER,
  token: TOKEN,
  agent: new Agent({ ca: readFileSync(CA), keepAlive: true }),
};

for (const [operator, cases] of Object.entries(operators)) {
  for (const definition of definitionsOf(operator)) {
    const { code, body } = await install(target, definition);
    if (code !== 201 && code !== 409)
      throw new Error(`${definition.metadata?.name}: ${JSON.stringify(body)}`);
  }
  const verdicts: Verdicts = {};
  for (const [index, each] of cases.entries())
    verdicts[each.title] = await judge(target, each, `case-${index}`);
  if (Object.keys(verdicts).length !== cases.length) throw new Error(`${operator}: two cases have one title`);
  const lines = Object.entries(verdicts).map(
    ([title, all]) => `${JSON.stringify(title)}: ${JSON.stringify(all)}`,
  );
  writeFileSync(fileOf('verdicts', operator), `{\n${lines.join(',\n')}\n}\n`);
  console.log(`${operator}: ${cases.length} cases`);
}
target.agent.destroy();
