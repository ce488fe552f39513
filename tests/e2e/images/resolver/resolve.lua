-- Asks as a program in a pod does: through the C library's resolver and the pod's /etc/resolv.conf. Arguments come in threes:
-- `query` (the name as it is) or `search` (along the search path), a name, and a type's number. Prints a line for each: the
-- answer section's records as the C library writes them, without times to live and parted by tabs, or h_errno's name.
local ffi = require('ffi')
ffi.cdef [[
  int res_query(const char *name, int class, int type, unsigned char *answer, int length);
  int res_search(const char *name, int class, int type, unsigned char *answer, int length);
  int *__h_errno_location(void);
  typedef struct {
    const unsigned char *message, *end;
    uint16_t id, flags, counts[4];
    const unsigned char *sections[4];
    int section, record;
    const unsigned char *position;
  } ns_msg;
  typedef struct {
    char name[1025];
    uint16_t type, class;
    uint32_t ttl;
    uint16_t length;
    const unsigned char *data;
  } ns_rr;
  int ns_initparse(const unsigned char *answer, int length, ns_msg *message);
  int ns_parserr(ns_msg *message, int section, int number, ns_rr *record);
  int ns_sprintrr(const ns_msg *message, const ns_rr *record, const char *owner, const char *origin,
    char *text, size_t size);
]]
local resolv = ffi.load('libresolv.so.2')
local ask = { query = ffi.C.res_query, search = ffi.C.res_search }
local failures = { 'HOST_NOT_FOUND', 'TRY_AGAIN', 'NO_RECOVERY', 'NO_DATA' }
local answerSection, internetClass, size = 1, 1, 65535
local answer, text = ffi.new('unsigned char[?]', size), ffi.new('char[?]', size)
local message, record = ffi.new('ns_msg'), ffi.new('ns_rr')

for i = 1, #arg, 3 do
  local length = ask[arg[i]](arg[i + 1], internetClass, tonumber(arg[i + 2]), answer, size)
  local line = {}
  if length < 0 then
    line[1] = failures[ffi.C.__h_errno_location()[0]] or 'NETDB_INTERNAL'
  else
    assert(resolv.ns_initparse(answer, length, message) == 0, 'the answer cannot be read')
    for number = 0, message.counts[answerSection] - 1 do
      assert(resolv.ns_parserr(message, answerSection, number, record) == 0, 'the record cannot be read')
      local written = resolv.ns_sprintrr(message, record, nil, nil, text, size)
      assert(written > 0, 'the record cannot be written')
      line[#line + 1] = ffi.string(text, written):gsub('^(%S+)%s+%S+ IN (%S+)%s+', '%1 %2 ')
    end
  end
  print(table.concat(line, '\t'))
end
