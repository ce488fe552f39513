/**
 * Virtual IPs: what is to be announced, keyed by address, and a file as a source of it. Who answers for it on the wire is
 * in `layer2/` and `bgp/`, what joins them to Services in `speaker/`.
 *
 * ```ts
 * const table = new AnnouncementTable();
 * loadAnnouncementFile('/etc/cloudless/announcements.yaml', table);
 * ```
 */
export {
  type AddressPlan,
  type Announcement,
  type AnnouncementSource,
  AnnouncementTable,
} from './announcement.ts';
export { AnnouncementFileError, loadAnnouncementFile, parseAnnouncements } from './file-source.ts';
