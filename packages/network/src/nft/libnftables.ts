import koffi from 'koffi';

/** nftables refused a command; `command` is what was sent, `message` what the kernel or parser said. */
export class NftError extends Error {
  readonly command: string;

  constructor(message: string, command: string) {
    super(message);
    this.name = 'NftError';
    this.command = command;
  }
}

/** Runs nftables scripts; each script is one kernel transaction: all of it or nothing. */
export interface Nft {
  /** Applies `script`; returns what it printed. Throws {@link NftError}. Synchronous: 0.1–2 ms for a small change. */
  run(script: string): string;
  /** Whether there is such a table. */
  hasTable(family: string, table: string): boolean;
  /** The listing of a map with its elements as JSON (libnftables-json(5)); undefined when there is none. */
  listMap(family: string, table: string, map: string): unknown[] | undefined;
  /** Frees the context; a later call of another method throws. */
  close(): void;
}

const outputJson = 1 << 4; // NFT_CTX_OUTPUT_JSON, nftables/libnftables.h

let library: ReturnType<typeof bind> | undefined;

function bind() {
  const lib = koffi.load('libnftables.so.1');
  return {
    create: lib.func('void *nft_ctx_new(uint32_t flags)'),
    free: lib.func('void nft_ctx_free(void *ctx)'),
    bufferOutput: lib.func('int nft_ctx_buffer_output(void *ctx)'),
    bufferError: lib.func('int nft_ctx_buffer_error(void *ctx)'),
    output: lib.func('const char *nft_ctx_get_output_buffer(void *ctx)'),
    error: lib.func('const char *nft_ctx_get_error_buffer(void *ctx)'),
    setFlags: lib.func('void nft_ctx_output_set_flags(void *ctx, uint32_t flags)'),
    run: lib.func('int nft_run_cmd_from_buffer(void *ctx, const char *buf)'),
  };
}

/**
 * Opens libnftables in this process: a change costs a tenth of what a spawned `nft` does. It acts on the network
 * namespace of the calling thread. Throws when the library is missing, naming the Debian package.
 */
export function openNft(): Nft {
  try {
    library ??= bind();
  } catch (cause) {
    throw new Error('libnftables.so.1 cannot be loaded: install the Debian package libnftables1', { cause });
  }
  const lib = library;
  const context: unknown = lib.create(0);
  if (context === null) throw new Error('nft_ctx_new failed: out of memory');
  lib.bufferOutput(context);
  lib.bufferError(context);
  let closed = false;
  const run = (script: string): string => {
    if (closed) throw new Error('nftables was used after it was closed');
    const code = lib.run(context, script) as number;
    const printed = (lib.output(context) as string | null) ?? '';
    const complaint = (lib.error(context) as string | null) ?? '';
    if (code !== 0) throw new NftError(complaint.trim() || `nftables failed with code ${code}`, script);
    return printed;
  };
  return {
    run,
    hasTable: (family, table) =>
      run(`list tables ${family}`).split('\n').includes(`table ${family} ${table}`),
    listMap(family, table, map) {
      if (closed) throw new Error('nftables was used after it was closed');
      lib.setFlags(context, outputJson);
      try {
        const text = run(`list map ${family} ${table} ${map}`);
        return (JSON.parse(text) as { nftables: unknown[] }).nftables;
      } catch (error) {
        if (error instanceof NftError && /No such file or directory/.test(error.message)) return undefined;
        throw error;
      } finally {
        lib.setFlags(context, 0);
      }
    },
    close() {
      if (!closed) lib.free(context);
      closed = true;
    },
  };
}
