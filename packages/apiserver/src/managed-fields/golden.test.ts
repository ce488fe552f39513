import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { type DefaultTestServer, startDefaultTestServer } from '../testing/default-server.ts';
import { httpsSender } from '../testing/https-sender.ts';
import { defineWidgets, readScripts, runScript, type Send } from '../testing/field-scripts.ts';

// Scripts of writes and what becomes of the object and its managedFields; what upstream's own server answers.
const folder = new URL('./testdata/', import.meta.url);

describe('golden: managed fields over HTTPS', () => {
  let server: DefaultTestServer;
  let sender: { send: Send; close(): void };
  before(async () => {
    server = await startDefaultTestServer();
    sender = httpsSender(server.url, { ca: server.pki.ca, ...server.pki.admin });
    await defineWidgets(sender.send);
  });
  after(async () => {
    sender.close();
    await server[Symbol.asyncDispose]();
  });
  let number = 0;
  for (const file of readdirSync(folder)) {
    for (const script of readScripts(readFileSync(new URL(file, folder), 'utf8'))) {
      const namespace = `script-${number++}`;
      it(script.title, async () => {
        const out = await runScript(script, namespace, sender.send);
        assert.equal(out.join('\n'), script.text);
      });
    }
  }
});
