#include "libs/mime/record.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "libs/base/status.h"

namespace godwit::mime {
namespace {

constexpr char kVersion = 1;
constexpr int kMaxDepth = 1000;  // parts within parts; keeps the recursion bounded

// Writes the pieces of a record. For each Write of a type there is a Read in Reader.
class Writer {
 public:
  explicit Writer(std::string* out) : out_(out) {}

  void Number(uint64_t value) {
    for (; value >= 128; value >>= 7) *out_ += static_cast<char>(value | 128);
    *out_ += static_cast<char>(value);
  }
  // Small numbers of either sign stay small.
  void Signed(int64_t value) {
    Number(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63));
  }
  void Bool(bool value) { Number(value ? 1 : 0); }
  void String(const std::string& text) {
    Number(text.size());
    *out_ += text;
  }
  void Optional(const std::optional<std::string>& text) {
    Number(text ? text->size() + 1 : 0);
    if (text) *out_ += *text;
  }
  template <typename T, typename WriteOne>
  void List(const std::vector<T>& list, WriteOne write_one) {
    Number(list.size());
    for (const T& item : list) write_one(item);
  }
  void Strings(const std::vector<std::string>& list) {
    List(list, [this](const std::string& text) { String(text); });
  }

  void Write(const Address& address) {
    Number(static_cast<uint64_t>(address.kind));
    if (address.kind == Address::Kind::kGroupEnd) return;  // has no strings
    String(address.name);
    String(address.route);
    String(address.mailbox);
    String(address.host);
  }
  void Write(const AddressList& list) {
    List(list, [this](const Address& address) { Write(address); });
  }
  void Write(const Parameters& params) {
    List(params, [this](const Parameter& parameter) {
      String(parameter.name);
      String(parameter.value);
    });
  }
  void Write(const Envelope& envelope);
  void Write(const Part& part);
  void Write(const Summary& summary);

 private:
  std::string* out_;
};

void Writer::Write(const Envelope& envelope) {
  Optional(envelope.date);
  Optional(envelope.subject);
  for (const AddressList* list : {&envelope.from, &envelope.sender, &envelope.reply_to,
                                  &envelope.to, &envelope.cc, &envelope.bcc}) {
    Write(*list);
  }
  Optional(envelope.in_reply_to);
  Optional(envelope.message_id);
}

void Writer::Write(const Part& part) {
  Number(static_cast<uint64_t>(part.kind));
  String(part.type);
  String(part.subtype);
  Write(part.params);
  for (const std::string* text :
       {&part.id, &part.description, &part.encoding, &part.md5, &part.location}) {
    String(*text);
  }
  Bool(part.disposition.has_value());
  if (part.disposition) {
    String(part.disposition->type);
    Write(part.disposition->params);
  }
  Strings(part.languages);
  for (const uint64_t number :
       {part.header_offset, part.header_size, part.body_offset, part.body_size, part.lines}) {
    Number(number);
  }
  Bool(part.envelope.has_value());
  if (part.envelope) Write(*part.envelope);
  List(part.children, [this](const Part& child) { Write(child); });
}

void Writer::Write(const Summary& summary) {
  Write(summary.root);
  Write(summary.envelope);
  Number(summary.header_size);
  Number(summary.body_size);
  for (const bool flag : {summary.header_8bit, summary.body_8bit, summary.needs_smtputf8,
                          summary.has_nul, summary.limited, summary.is_reply}) {
    Bool(flag);
  }
  String(summary.preview);
  Bool(summary.sent.has_value());
  if (summary.sent) {
    Signed(absl::ToUnixSeconds(summary.sent->time));
    Signed(summary.sent->offset_minutes);
  }
  String(summary.message_id);
  Strings(summary.in_reply_to);
  Strings(summary.references);
  String(summary.base_subject);
}

// Reads what Writer wrote. After the first thing that does not fit, `ok()` is false and everything
// reads as empty, so the code below needs no test after each step.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool done() const { return bytes_.empty(); }

  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto octet = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      const uint64_t bits = octet & 127;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if (octet < 128) return value;
    }
    Fail();
    return 0;
  }
  int64_t Signed() {
    const uint64_t value = Number();
    return static_cast<int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  bool Bool() { return Below(2) == 1; }
  uint64_t Below(uint64_t limit) {
    const uint64_t value = Number();
    if (value < limit) return value;
    Fail();
    return 0;
  }
  std::string String() { return Bytes(Number()); }
  std::optional<std::string> Optional() {
    const uint64_t size = Number();
    if (size == 0) return std::nullopt;
    return Bytes(size - 1);
  }
  template <typename T, typename ReadOne>
  std::vector<T> List(ReadOne read_one) {
    std::vector<T> list;
    for (uint64_t left = Number(); left > 0 && ok_; --left) list.push_back(read_one());
    return list;
  }
  std::vector<std::string> Strings() {
    return List<std::string>([this] { return String(); });
  }

  Address ReadAddress();
  AddressList Addresses() {
    return List<Address>([this] { return ReadAddress(); });
  }
  Parameters ReadParameters() {
    return List<Parameter>([this] {
      Parameter parameter;
      parameter.name = String();
      parameter.value = String();
      return parameter;
    });
  }
  Envelope ReadEnvelope();
  Part ReadPart(int depth);
  Summary ReadSummary();

 private:
  void Fail() {
    ok_ = false;
    bytes_ = {};
  }
  std::string Bytes(uint64_t size) {
    if (size > bytes_.size()) {
      Fail();
      return "";
    }
    std::string text(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return text;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

Address Reader::ReadAddress() {
  Address address;
  address.kind = static_cast<Address::Kind>(Below(3));
  if (address.kind == Address::Kind::kGroupEnd) return address;
  address.name = String();
  address.route = String();
  address.mailbox = String();
  address.host = String();
  return address;
}

Envelope Reader::ReadEnvelope() {
  Envelope envelope;
  envelope.date = Optional();
  envelope.subject = Optional();
  for (AddressList* list : {&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to,
                            &envelope.cc, &envelope.bcc}) {
    *list = Addresses();
  }
  envelope.in_reply_to = Optional();
  envelope.message_id = Optional();
  return envelope;
}

Part Reader::ReadPart(int depth) {
  Part part;
  if (depth > kMaxDepth) {
    Fail();
    return part;
  }
  part.kind = static_cast<Part::Kind>(Below(3));
  part.type = String();
  part.subtype = String();
  part.params = ReadParameters();
  for (std::string* text :
       {&part.id, &part.description, &part.encoding, &part.md5, &part.location}) {
    *text = String();
  }
  if (Bool()) {
    part.disposition.emplace();
    part.disposition->type = String();
    part.disposition->params = ReadParameters();
  }
  part.languages = Strings();
  for (uint64_t* number :
       {&part.header_offset, &part.header_size, &part.body_offset, &part.body_size, &part.lines}) {
    *number = Number();
  }
  if (Bool()) part.envelope = ReadEnvelope();
  part.children = List<Part>([this, depth] { return ReadPart(depth + 1); });
  return part;
}

Summary Reader::ReadSummary() {
  Summary summary;
  summary.root = ReadPart(1);
  summary.envelope = ReadEnvelope();
  summary.header_size = Number();
  summary.body_size = Number();
  for (bool* flag : {&summary.header_8bit, &summary.body_8bit, &summary.needs_smtputf8,
                     &summary.has_nul, &summary.limited, &summary.is_reply}) {
    *flag = Bool();
  }
  summary.preview = String();
  if (Bool()) {
    const absl::Time time = absl::FromUnixSeconds(Signed());
    const int64_t offset = Signed();
    if (offset < -6000 || offset > 6000) Fail();
    summary.sent = DateTime{time, static_cast<int>(offset)};
  }
  summary.message_id = String();
  summary.in_reply_to = Strings();
  summary.references = Strings();
  summary.base_subject = String();
  return summary;
}

}  // namespace

std::string Encode(const Summary& summary) {
  std::string out(1, kVersion);
  Writer(&out).Write(summary);
  return out;
}

absl::StatusOr<Summary> Decode(std::string_view record) {
  if (record.empty() || record.front() != kVersion) {
    return base::DataLoss("message record: unknown version");
  }
  Reader reader(record.substr(1));
  Summary summary = reader.ReadSummary();
  if (!reader.ok() || !reader.done()) return base::DataLoss("message record: damaged");
  return summary;
}

}  // namespace godwit::mime
