#include "libs/dns/wire.h"

#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::dns {
namespace {

constexpr size_t kMostNameOctets = 255;
constexpr size_t kMostLabelOctets = 63;
constexpr size_t kMostMessageOctets = 65535;
constexpr uint16_t kTypeOpt = 41;

constexpr uint16_t kFlagResponse = 0x8000;
constexpr uint16_t kFlagTruncated = 0x0200;
constexpr uint16_t kFlagRecursionDesired = 0x0100;
constexpr uint16_t kFlagAuthentic = 0x0020;
constexpr uint16_t kFlagCheckingDisabled = 0x0010;
constexpr uint16_t kEdnsDnssecOk = 0x8000;

void AppendLabelText(std::string_view label, std::string* out) {
  for (char c : label) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '.' || c == '\\' || byte <= ' ' || byte == 127) {
      *out += '\\';
      *out += static_cast<char>('0' + byte / 100);
      *out += static_cast<char>('0' + byte / 10 % 10);
      *out += static_cast<char>('0' + byte % 10);
    } else {
      *out += base::ToLower(c);
    }
  }
}

// Reads from the front; after a read beyond the end it is bad for good and gives zeros.
class Reader {
 public:
  Reader(std::string_view message, size_t at, size_t end) : message_(message), at_(at), end_(end) {}

  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  size_t left() const { return end_ - at_; }

  uint8_t U8() { return static_cast<uint8_t>(Number(1)); }
  uint16_t U16() { return static_cast<uint16_t>(Number(2)); }
  uint32_t U32() { return static_cast<uint32_t>(Number(4)); }
  std::string_view Bytes(size_t count) {
    if (!ok_ || count > left()) return Fail();
    at_ += count;
    return message_.substr(at_ - count, count);
  }
  std::string_view Rest() { return Bytes(left()); }
  std::string Name();

 private:
  std::string_view Fail() {
    ok_ = false;
    return {};
  }
  uint32_t Number(size_t octets) {
    uint32_t value = 0;
    for (char c : Bytes(octets)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  // Goes on reading at an earlier place. RFC 1035 §4.1.4: a pointer is to a prior occurrence;
  // that each one goes further back than the one before bounds the number of jumps.
  bool Jump(uint8_t high, size_t* at, size_t* limit) const {
    if (*at + 1 >= *limit) return false;
    const size_t target =
        (static_cast<size_t>(high & 0x3f) << 8) | static_cast<unsigned char>(message_[*at + 1]);
    if (target >= *at) return false;
    *limit = *at;
    *at = target;
    return true;
  }

  std::string_view message_;
  size_t at_;
  size_t end_;
  bool ok_ = true;
};

std::string Reader::Name() {
  std::string name;
  size_t octets = 1;
  size_t at = at_;
  size_t limit = end_;
  bool jumped = false;
  while (ok_) {
    if (at >= limit) return std::string(Fail());
    const auto length = static_cast<unsigned char>(message_[at]);
    if (length >= 0xc0) {
      if (!jumped) at_ = at + 2;
      if (!Jump(length, &at, &limit)) return std::string(Fail());
      jumped = true;
      continue;
    }
    // RFC 6891 §5: other label types are no longer in use.
    if (length > kMostLabelOctets || length >= limit - at) return std::string(Fail());
    if (length == 0) break;
    octets += length + size_t{1};
    if (octets > kMostNameOctets) return std::string(Fail());
    if (!name.empty()) name += '.';
    AppendLabelText(message_.substr(at + 1, length), &name);
    at += length + size_t{1};
  }
  if (!jumped) at_ = at + 1;
  return name;
}

RecordData ReadTexts(Reader* reader) {
  std::string text;
  while (reader->ok() && reader->left() > 0) text += reader->Bytes(reader->U8());
  return text;
}

RecordData ReadAddress(Reader* reader, size_t octets) {
  const auto address = base::IpAddress::FromBytes(reader->Rest());
  if (!address || address->bytes().size() != octets) return std::monostate();
  return *address;
}

RecordData ReadSrv(Reader* reader) {
  base::DnsSrv srv;
  srv.priority = reader->U16();
  srv.weight = reader->U16();
  srv.port = reader->U16();
  srv.target = reader->Name();
  return srv;
}

RecordData ReadTlsa(Reader* reader) {
  base::DnsTlsa tlsa;
  tlsa.usage = reader->U8();
  tlsa.selector = reader->U8();
  tlsa.matching = reader->U8();
  tlsa.data = reader->Rest();
  return tlsa;
}

RecordData ReadMx(Reader* reader) {
  base::DnsMx mx;
  mx.preference = reader->U16();
  mx.exchange = reader->Name();
  return mx;
}

RecordData ReadSoa(Reader* reader) {
  reader->Name();
  reader->Name();
  for (int skipped = 0; skipped < 4; ++skipped) reader->U32();  // serial refresh retry expire
  return Soa{reader->U32()};
}

RecordData ReadData(uint16_t type, Reader* reader) {
  if (type == kTypeSoa) return ReadSoa(reader);
  switch (static_cast<base::DnsType>(type)) {
    case base::DnsType::kA: return ReadAddress(reader, 4);
    case base::DnsType::kAaaa: return ReadAddress(reader, 16);
    case base::DnsType::kNs:
    case base::DnsType::kCname:
    case base::DnsType::kPtr: return reader->Name();
    case base::DnsType::kMx: return ReadMx(reader);
    case base::DnsType::kTxt: return ReadTexts(reader);
    case base::DnsType::kSrv: return ReadSrv(reader);
    case base::DnsType::kTlsa: return ReadTlsa(reader);
  }
  return std::monostate();
}

// False when the message is broken.
bool ReadRecord(std::string_view wire, Reader* reader, Record* record) {
  record->owner = reader->Name();
  record->type = reader->U16();
  record->record_class = reader->U16();
  record->ttl = reader->U32();
  // RFC 2181 §8.
  if (record->ttl > 0x7fffffff) record->ttl = 0;
  const uint16_t length = reader->U16();
  const size_t start = reader->at();
  reader->Bytes(length);
  if (!reader->ok()) return false;
  Reader data(wire, start, start + length);
  if (record->record_class == kClassIn) record->data = ReadData(record->type, &data);
  return data.ok();
}

bool ReadSection(std::string_view wire, size_t count, Reader* reader, std::vector<Record>* out) {
  for (size_t i = 0; i < count; ++i) {
    Record record;
    if (!ReadRecord(wire, reader, &record)) return false;
    out->push_back(std::move(record));
  }
  return true;
}

void AppendU16(uint16_t value, std::string* out) {
  *out += static_cast<char>(value >> 8);
  *out += static_cast<char>(value & 0xff);
}

// One character of a name, escaped or not; false for a bad escape.
bool TakeNameByte(std::string_view* name, char* byte) {
  *byte = name->front();
  name->remove_prefix(1);
  if (*byte != '\\') return true;
  if (name->empty()) return false;
  if (!base::IsDigit(name->front())) {
    *byte = name->front();
    name->remove_prefix(1);
    return true;
  }
  const auto code = base::ParseDecimal(name->substr(0, 3));
  if (name->size() < 3 || !code || *code > 255) return false;
  *byte = static_cast<char>(*code);
  name->remove_prefix(3);
  return true;
}

}  // namespace

absl::StatusOr<WireMessage> ParseMessage(std::string_view wire) {
  if (wire.size() > kMostMessageOctets) return base::InvalidArgument("DNS: message too long");
  Reader reader(wire, 0, wire.size());
  WireMessage message;
  message.id = reader.U16();
  const uint16_t flags = reader.U16();
  const uint16_t questions = reader.U16();
  const uint16_t answers = reader.U16();
  const uint16_t authorities = reader.U16();
  reader.U16();
  message.response = (flags & kFlagResponse) != 0;
  message.truncated = (flags & kFlagTruncated) != 0;
  message.authentic = (flags & kFlagAuthentic) != 0;
  message.rcode = flags & 0x0f;
  // RFC 9619: exactly one.
  if (questions != 1) return base::InvalidArgument("DNS: not one question");
  message.question = reader.Name();
  message.question_type = reader.U16();
  const uint16_t question_class = reader.U16();
  if (!reader.ok() || question_class != kClassIn) {
    return base::InvalidArgument("DNS: malformed question");
  }
  if (!ReadSection(wire, answers, &reader, &message.answers) ||
      !ReadSection(wire, authorities, &reader, &message.authority)) {
    return base::InvalidArgument("DNS: malformed record");
  }
  return message;
}

std::optional<std::string> WriteName(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    std::string label;
    while (!name.empty() && name.front() != '.') {
      char byte = 0;
      if (!TakeNameByte(&name, &byte)) return std::nullopt;
      label += byte;
    }
    if (label.empty() || label.size() > kMostLabelOctets) return std::nullopt;
    wire += static_cast<char>(label.size());
    wire += label;
    if (name.empty()) break;
    name.remove_prefix(1);
    if (name.empty()) return std::nullopt;  // a final dot: names here have none
  }
  wire += '\0';
  if (wire.size() > kMostNameOctets) return std::nullopt;
  return wire;
}

std::optional<std::string> CanonicalName(std::string_view name) {
  const auto wire = WriteName(name);
  if (!wire) return std::nullopt;
  return Reader(*wire, 0, wire->size()).Name();
}

std::optional<std::string> WriteQuery(uint16_t id, const base::DnsQuestion& question,
                                      const QueryFlags& flags) {
  const auto name = WriteName(question.name);
  if (!name) return std::nullopt;
  std::string wire;
  AppendU16(id, &wire);
  uint16_t bits = kFlagRecursionDesired | kFlagAuthentic;
  if (flags.checking_disabled) bits |= kFlagCheckingDisabled;
  AppendU16(bits, &wire);
  for (uint16_t count : {1, 0, 0, 1}) AppendU16(count, &wire);
  wire += *name;
  AppendU16(static_cast<uint16_t>(question.type), &wire);
  AppendU16(kClassIn, &wire);
  // RFC 6891 §6.1.2: the root, OPT, payload size, extended rcode and version 0, flags, no options.
  wire += '\0';
  AppendU16(kTypeOpt, &wire);
  AppendU16(flags.udp_size, &wire);
  AppendU16(0, &wire);
  AppendU16(flags.dnssec_ok ? kEdnsDnssecOk : 0, &wire);
  AppendU16(0, &wire);
  return wire;
}

}  // namespace godwit::dns
