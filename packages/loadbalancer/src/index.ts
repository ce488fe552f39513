/**
 * Virtual IPs. In this form: what is to be announced, keyed by address, and the file as a source of it. Election,
 * ARP, NDP and BGP build on {@link AnnouncementTable}; nothing is announced on a wire yet.
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
