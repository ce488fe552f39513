import type { Command } from 'commander';
import { addMoveAndMend } from './move-and-mend.ts';
import type { ServeFlags } from './serve.ts';

/** Adds `cloudless datastore …`. Each subcommand's module is loaded when it is chosen. */
export function addDatastoreCommands(cli: Command): void {
  const datastore = cli
    .command('datastore')
    .description('an etcd over SQLite or PostgreSQL: serve it, move it, look after it')
    .helpCommand(false);
  addServe(datastore);
  addMoveAndMend(datastore);
}

function addServe(datastore: Command): void {
  datastore
    .command('serve')
    .description('serve the etcd v3 API from a SQLite file or a PostgreSQL database')
    .requiredOption('--endpoint <url>', 'sqlite:///path/state.db or postgres://user:password@host/database')
    .option('--listen-address <address>', 'HOST:PORT, or unix:///path of a socket (default: 127.0.0.1:2379)')
    .option('--server-cert-file <file>', 'certificate for TLS (PEM)')
    .option('--server-key-file <file>', 'its key')
    .option('--trusted-ca-file <file>', 'clients must show a certificate signed by it')
    .option('--advertise-client-urls <urls>', 'what clients are told to connect to (default: the address)')
    .option('--metrics-address <address>', 'HOST:PORT for /metrics and /health without TLS')
    .option('--quota-bytes <bytes>', 'size at which writes are refused; 0: none (default: 2 GiB)')
    .option('--auto-compaction <duration>', 'keep so much history (10m, 1h); off by default')
    .option('--commit-window <duration>', 'gather writes for so long: less wear, later answers')
    .option(
      '--watch-progress-notify-interval <duration>',
      'how often idle watches are told the revision (default: 10m)',
    )
    .action(async (flags: ServeFlags) => (await import('./serve.ts')).serve(flags));
}
