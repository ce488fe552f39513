import type { Command } from 'commander';
import type { CompactFlags } from './compact.ts';
import type { CopyFlags } from './copy.ts';
import type { PlaceFlags } from './place-options.ts';
import type { RestoreFlags } from './restore.ts';
import type { SnapshotFlags } from './snapshot.ts';

const places = 'sqlite:///path/state.db, postgres://user@host/database, or https://host:2379';

/** `copy`, `snapshot`, `restore`, `check`, `compact`, `status` and `wear`. */
export function addMoveAndMend(datastore: Command): void {
  const withTls = (command: Command): Command =>
    command
      .option('--cacert <file>', 'CA of the certificates of a server at https://')
      .option('--cert <file>', 'client certificate for it (PEM)')
      .option('--key <file>', 'its key');
  const withPlace = (command: Command): Command =>
    withTls(command).requiredOption('--endpoint <place>', places);
  const withOutput = (command: Command): Command =>
    command.option('-o, --output <format>', 'text or json', 'text');
  const withForce = (command: Command): Command =>
    command.option('--force', 'replace everything that is there');

  withForce(
    withTls(
      datastore
        .command('copy')
        .description('move a store with its history: SQLite, PostgreSQL, etcd, a snapshot, kine')
        .requiredOption('--from <place>', `${places}, snapshot:///path/file.db; kine's tables are recognized`)
        .requiredOption('--to <place>', `the same; into a running etcd go keys, values and leases only`)
        .option('--skip-hash-check', "take a snapshot without its checksum, such as etcd's member/snap/db"),
    ),
  ).action(async (flags: CopyFlags) => (await import('./copy.ts')).copy(flags));

  withForce(
    withOutput(
      withPlace(datastore.command('snapshot <file>').description("save a store as etcd's snapshot file")),
    ),
  ).action(async (file: string, flags: SnapshotFlags) =>
    (await import('./snapshot.ts')).snapshot(file, flags),
  );

  withForce(
    datastore
      .command('restore <file>')
      .description("make a store of etcd's or our snapshot file")
      .requiredOption('--endpoint <place>', 'sqlite:///path/state.db or postgres://user@host/database')
      .option('--skip-hash-check', "take a file without its checksum, such as etcd's member/snap/db"),
  ).action(async (file: string, flags: RestoreFlags) => (await import('./restore.ts')).restore(file, flags));

  withOutput(
    withPlace(
      datastore.command('check').description('verify every invariant of a store, or of a snapshot file'),
    ).option('--skip-hash-check', 'take a snapshot file without its checksum'),
  ).action(async (flags: PlaceFlags) => (await import('./check.ts')).check(flags));

  withPlace(datastore.command('compact').description('give up old history and its space'))
    .option('--revision <number>', 'keep history from here on (default: the newest revision)')
    .action(async (flags: CompactFlags) => (await import('./compact.ts')).compact(flags));

  withOutput(
    withPlace(datastore.command('status').description('revision, size, leases and alarms of a store')),
  ).action(async (flags: PlaceFlags) => (await import('./status.ts')).status(flags));

  withOutput(
    withPlace(
      datastore
        .command('wear')
        .description('what a running server has written to its disk, per write and per day'),
    ),
  ).action(async (flags: PlaceFlags) => (await import('./wear.ts')).wear(flags));
}
