import type { KubeClient } from '@cloudless/kube/client/client';
import { admissionregistration, core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { MutatingWebhook, ValidatingWebhook } from '@cloudless/kube/types/admissionregistration-v1';
import { startTestServer, type TestServer } from './test-server.ts';
import { admissionWebhooks } from '../admission/webhook/index.ts';

/** An API server whose only admission is webhooks; its administrator; and ways to register webhooks. */
export interface HookedServer extends AsyncDisposable {
  readonly test: TestServer;
  readonly admin: KubeClient;
  validating(configuration: string, ...webhooks: Array<Partial<ValidatingWebhook>>): Promise<void>;
  mutating(configuration: string, ...webhooks: Array<Partial<MutatingWebhook>>): Promise<void>;
  /** Removes every webhook. */
  clear(): Promise<void>;
}

const everything = {
  operations: ['*'],
  apiGroups: [''],
  apiVersions: ['v1'],
  resources: ['configmaps'],
};

const complete = <W extends ValidatingWebhook | MutatingWebhook>(webhook: Partial<W>): W =>
  ({
    name: 'hook.example.com',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    rules: [everything],
    ...webhook,
  }) as W;

export async function startHookedServer(): Promise<HookedServer> {
  const test = await startTestServer({
    admission(context, authorizer) {
      const { mutating, validating } = admissionWebhooks({ ...context, authorizer });
      return [mutating, validating];
    },
  });
  const admin = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
  const { mutatingwebhookconfigurations, validatingwebhookconfigurations } = admissionregistration;
  await admin.create(core.namespaces, { metadata: { name: 'space', labels: { team: 'blue' } } });
  return {
    test,
    admin,
    async validating(name, ...webhooks) {
      const object = {
        metadata: { name },
        webhooks: webhooks.map((each) => complete<ValidatingWebhook>(each)),
      };
      await admin.create(validatingwebhookconfigurations, object);
    },
    async mutating(name, ...webhooks) {
      const object = {
        metadata: { name },
        webhooks: webhooks.map((each) => complete<MutatingWebhook>(each)),
      };
      await admin.create(mutatingwebhookconfigurations, object);
    },
    async clear() {
      for (const resource of [mutatingwebhookconfigurations, validatingwebhookconfigurations])
        for (const { metadata } of (await admin.list(resource)).items)
          await admin.delete(resource, metadata.name as string);
    },
    [Symbol.asyncDispose]: () => test[Symbol.asyncDispose](),
  };
}

/** For `assert.rejects`: a Status of this code whose message is exactly, or matches, `text`. */
export const refused = (code: number, text: string | RegExp) => (error: unknown) => {
  if (!(error instanceof StatusError)) return false;
  const fits = typeof text === 'string' ? error.message === text : text.test(error.message);
  if (error.code === code && fits) return true;
  throw new Error(`expected ${code} ${String(text)}\n     got ${error.code} ${error.message}`);
};
