import { createHash } from 'node:crypto';
import type { Request } from '../server/request.ts';
import { makeUpdate } from '../update/update.ts';
import { lowerName } from '../wire/name.ts';
import { extendedError, rcode } from '../wire/types.ts';
import type { RequestHandlerOptions } from './request-handler.ts';
import type { VerifiedRequest } from './verified-request.ts';

/** Updates under way; further ones are told to come again (SERVFAIL). */
const updatesUnderWay = 100;

/** Answers UPDATE messages. One that comes again while it is under way, as clients do over UDP, is made once. */
export class UpdateQueue {
  readonly #options: RequestHandlerOptions;
  readonly #underWay = new Map<string, Promise<Buffer>>();

  constructor(options: RequestHandlerOptions) {
    this.#options = options;
  }

  answer({ message, peer }: Request, verified: VerifiedRequest): Promise<Buffer> {
    const digest = createHash('sha256').update(message).digest('hex');
    const id = `${peer.address} ${peer.port} ${digest}`;
    const same = this.#underWay.get(id);
    if (same) return same;
    if (this.#underWay.size >= updatesUnderWay) {
      const text = `${updatesUnderWay} updates are under way: try again`;
      return Promise.resolve(
        verified.reply({ rcode: rcode.servFail, reason: { code: extendedError.notReady, text } }),
      );
    }
    const answer = this.#make(verified).finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, answer);
    return answer;
  }

  async #make(verified: VerifiedRequest): Promise<Buffer> {
    const { zones, config, keeper, log } = this.#options;
    const { message, asker } = verified;
    const about = {
      zone: lowerName(message.questions[0]?.name ?? ''),
      from: asker.address,
      key: asker.key,
    };
    try {
      const outcome = await makeUpdate(message, asker, { zones, keeper, allow: config().updates.allow });
      if (outcome.reason)
        log.info({ ...about, rcode: outcome.rcode }, `an update is refused: ${outcome.reason.text}`);
      else log.info({ ...about, serial: outcome.serial }, 'an update is made');
      return verified.reply({ rcode: outcome.rcode, reason: outcome.reason });
    } catch (error) {
      log.error({ ...about, err: String(error) }, 'an update failed');
      return verified.reply({ rcode: rcode.servFail });
    }
  }
}
