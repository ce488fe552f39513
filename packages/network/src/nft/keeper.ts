import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { ProgramError, runProgram } from '../run-program.ts';
import { NftError } from './libnftables.ts';
import { type NftPart, type NftTable, type PartContent, tableFamily, tableName } from './table.ts';

/** How often the table is looked at: rules that an administrator flushed come back within this time. */
export const checkEveryMs = 30_000;
const retryMs = 1000;

/** The table as its parts say it must be, whatever others do to it. */
export interface TableKeeper extends Running {
  /**
   * Applies one part's change. When the table is not as it was left, everything is built anew. Never throws for what
   * the kernel says; a refused build is tried again.
   */
  change(part: NftPart, script: string): void;
  /** Applies one part's change if the kernel takes it; false when it does not, and then nothing has changed. */
  attempt(part: NftPart, script: string): boolean;
  /** The listing of a map, see {@link NftTable.listMap}; empty when the kernel does not tell. */
  listMap(map: string): unknown[];
  /** Whether the kernel has the table as it must be, as far as is known. */
  readonly healthy: boolean;
  /** Builds everything anew from the parts' content. From the first call on the table is this agent's. */
  rebuild(): void;
  /** Looks whether chains, rules, maps and sets are as they were built, and mends them. */
  check(): Promise<void>;
}

/** Chains, rules, maps and sets without elements; '' when there is no table. */
async function listStructure(): Promise<string> {
  try {
    // In a process of its own: with 10,000 Services even this listing would block the caller for 0.2 s.
    return await runProgram('nft', ['--terse', 'list', 'table', tableFamily, tableName]);
  } catch (error) {
    if (error instanceof ProgramError && /No such file or directory/.test(error.message)) return '';
    throw error;
  }
}

/**
 * Keeps the table. One that is there already (of an earlier agent) goes on serving until the first
 * {@link TableKeeper.rebuild}, which comes when the API has told what it should be; changes before that are tried
 * on it, and are in that rebuild in any case.
 */
export function keepTable(options: {
  table: NftTable;
  content(): readonly PartContent[];
  log: Logger;
  clock?: Clock;
}): TableKeeper {
  return new Keeper(options);
}

class Keeper implements TableKeeper {
  readonly #table: NftTable;
  readonly #content: () => readonly PartContent[];
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #running: Running;
  /** How often the table was built; 0: it is an earlier agent's. */
  #builds = 0;
  /** What the kernel listed after the last build. */
  #structure: string | undefined;
  #work: Promise<void> = Promise.resolve();
  #retry: ClockTimer | undefined;
  #timer: ClockTimer | undefined;
  #ended = false;

  constructor(options: Parameters<typeof keepTable>[0]) {
    this.#table = options.table;
    this.#content = () => options.content();
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#schedule();
    this.#running = running(async () => {
      this.#ended = true;
      this.#timer?.cancel();
      this.#retry?.cancel();
      await this.#work;
    });
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  change(part: NftPart, script: string): void {
    try {
      this.#table.change(part, script);
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      const own = this.#builds > 0;
      this.#log[own ? 'warn' : 'debug'](
        { part, err: error.message },
        'the nftables table was not as it was left',
      );
      if (own) this.rebuild();
    }
  }

  attempt(part: NftPart, script: string): boolean {
    try {
      this.#table.change(part, script);
      return true;
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      return false;
    }
  }

  listMap(map: string): unknown[] {
    try {
      return this.#table.listMap(map);
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      this.#log.debug({ map, err: error.message }, 'a map could not be read');
      return [];
    }
  }

  get healthy(): boolean {
    return this.#builds > 0 && this.#retry === undefined;
  }

  rebuild(): void {
    this.#builds += 1;
    this.#structure = undefined;
    this.#retry?.cancel();
    this.#retry = undefined;
    try {
      this.#table.replace(this.#content());
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      this.#log.error({ err: error.message }, 'the nftables table could not be built; it is tried again');
      if (!this.#ended) this.#retry = this.#clock.setTimeout(() => this.rebuild(), retryMs);
      return;
    }
    void this.check();
  }

  check(): Promise<void> {
    this.#work = this.#work
      .then(() => this.#look())
      .catch((error: unknown) =>
        this.#log.warn({ err: String(error) }, 'could not look at the nftables table'),
      );
    return this.#work;
  }

  async #look(): Promise<void> {
    if (this.#builds === 0 || this.#retry || this.#ended) return;
    const builds = this.#builds;
    const found = await listStructure();
    // Built anew in the meantime: what was found is of no interest.
    if (this.#ended || builds !== this.#builds) return;
    if (this.#structure === undefined && found !== '') {
      this.#structure = found;
      return;
    }
    if (found === this.#structure) return;
    this.#log.warn({ table: tableName }, 'someone changed the nftables table; building it anew');
    this.rebuild();
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      void this.check().then(() => {
        if (!this.#ended) this.#schedule();
      });
    }, checkEveryMs);
  }
}
