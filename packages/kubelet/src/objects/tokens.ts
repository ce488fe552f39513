import type { KubeClient } from '@cloudless/kube/client/client';
import type { Clock } from '@cloudless/kube/clock';
import { core } from '@cloudless/kube/resources';
import type { TokenRequest } from '@cloudless/kube/types/authentication-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { identityOf } from '../naming/pod.ts';
import { VolumeError } from '../volumes/host-path.ts';
import type { ServiceAccountTokens } from '../volumes/payloads.ts';

interface Token {
  text: string;
  renewAtMs: number;
  expiresAtMs: number;
}

/** Renewed when 80 % of its life is over, or it is a day old (upstream: token_manager.go requiresRefresh). */
const lifeShare = 0.8;
const longestMs = 24 * 3600 * 1000;
const renewRetryMs = 60_000;

/** Service account tokens bound to their pods, asked for through the TokenRequest API and kept in memory alone. */
export class PodTokens implements ServiceAccountTokens {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Map<string, Token>>();

  constructor(options: { client: KubeClient; clock: Clock }) {
    this.#client = options.client;
    this.#clock = options.clock;
  }

  async token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string> {
    const { uid } = identityOf(pod);
    const kept = this.#tokens.get(uid) ?? new Map<string, Token>();
    this.#tokens.set(uid, kept);
    const key = `${pod.spec?.serviceAccountName ?? ''} ${audience ?? ''} ${expirationSeconds}`;
    const nowMs = this.#clock.nowMs();
    const held = kept.get(key);
    if (held && nowMs < held.renewAtMs) return held.text;
    try {
      const fresh = await this.#request(pod, audience, expirationSeconds);
      kept.set(key, fresh);
      return fresh.text;
    } catch (error) {
      // A token that still holds serves until the API answers.
      if (held && nowMs < held.expiresAtMs) {
        held.renewAtMs = nowMs + renewRetryMs;
        return held.text;
      }
      throw new VolumeError(`failed to fetch token: ${(error as Error).message}`, { cause: error });
    }
  }

  /** When the first of a pod's tokens wants renewal. */
  renewAtMs(uid: string): number | undefined {
    const times = [...(this.#tokens.get(uid)?.values() ?? [])].map((token) => token.renewAtMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  release(uid: string): void {
    this.#tokens.delete(uid);
  }

  async #request(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<Token> {
    const { uid, namespace, name } = identityOf(pod);
    const account = pod.spec?.serviceAccountName || 'default';
    const body: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: audience ? [audience] : [],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const answer = await this.#client.createSubresource<TokenRequest, TokenRequest>(
      core.serviceaccounts,
      account,
      'token',
      body,
      { namespace },
    );
    const text = answer.status?.token;
    if (!text) throw new Error(`the API gave no token for service account ${namespace}/${account}`);
    const nowMs = this.#clock.nowMs();
    const expiresAtMs =
      Date.parse(answer.status?.expirationTimestamp ?? '') || nowMs + expirationSeconds * 1000;
    const lifeMs = expiresAtMs - nowMs;
    return { text, expiresAtMs, renewAtMs: nowMs + Math.min(lifeMs * lifeShare, longestMs) };
  }
}
