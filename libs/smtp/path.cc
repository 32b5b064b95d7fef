#include "libs/smtp/path.h"

#include <algorithm>

#include "libs/base/ascii.h"
#include "libs/base/ip_address.h"

namespace godwit::smtp {
namespace {

bool IsHighOctet(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// RFC 5322 §3.2.3 atext, with RFC 6531 §3.3's UTF8-non-ascii.
bool IsAtext(char c) {
  return base::IsAlnum(c) || IsHighOctet(c) ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

// A cursor over the text of one path. Each Read function takes what it names and returns false
// where the text is something else.
class PathReader {
 public:
  PathReader(std::string_view text, const PathLimits& limits) : rest_(text), limits_(limits) {}

  std::string_view rest() const { return rest_; }
  bool too_long() const { return too_long_; }

  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool ReadMailbox(Address* address) {
    return ReadLocalPart(&address->local_part) && Take('@') && ReadDomain(&address->domain);
  }

  // RFC 5321 §4.1.2 A-d-l: "@" Domain *( "," "@" Domain ) ":"; Appendix C: accepted and ignored.
  bool SkipSourceRoute() {
    if (rest_.empty() || rest_.front() != '@') return true;
    std::string domain;
    do {
      if (!Take('@') || !ReadDomain(&domain)) return false;
    } while (Take(','));
    return Take(':');
  }

  bool ReadLocalPart(std::string* out) {
    const size_t before = rest_.size();
    const bool read = !rest_.empty() && rest_.front() == '"' ? ReadQuoted(out) : ReadDotString(out);
    if (before - rest_.size() > limits_.local_part) too_long_ = true;
    return read;
  }

  bool ReadDomain(std::string* out) {
    const size_t before = rest_.size();
    const bool read =
        !rest_.empty() && rest_.front() == '[' ? ReadLiteral(out) : ReadDomainName(out);
    if (before - rest_.size() > limits_.domain) too_long_ = true;
    return read;
  }

 private:
  bool ReadDotString(std::string* out) {
    size_t end = 0;
    bool atom_began = false;
    for (; end < rest_.size(); ++end) {
      if (IsAtext(rest_[end])) {
        atom_began = true;
      } else if (rest_[end] == '.' && atom_began) {
        atom_began = false;
      } else {
        break;
      }
    }
    *out = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return atom_began;
  }

  // RFC 5321 §4.1.2: qtextSMTP and quoted-pairSMTP, printable ASCII only (and RFC 6531's UTF-8).
  bool ReadQuoted(std::string* out) {
    out->clear();
    for (size_t i = 1; i < rest_.size(); ++i) {
      char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        return true;
      }
      if (c == '\\') {
        if (++i == rest_.size() || IsHighOctet(rest_[i])) return false;
        c = rest_[i];
      }
      if (!IsHighOctet(c) && (c < 32 || c > 126)) return false;
      *out += c;
    }
    return false;
  }

  bool ReadDomainName(std::string* out) {
    size_t end = 0;
    while (end < rest_.size() && (IsDomainOctet(rest_[end]) || rest_[end] == '.')) ++end;
    *out = base::Lower(rest_.substr(0, end));
    rest_.remove_prefix(end);
    const auto labels = base::Split(*out, '.');
    return std::all_of(labels.begin(), labels.end(), IsLabel);
  }

  // RFC 5321 §4.1.2 has letters, digits and hyphen. The underscore is taken too: hosts that have it
  // in their name send bounces from such addresses, and DNS does not mind.
  static bool IsDomainOctet(char c) {
    return base::IsAlnum(c) || c == '-' || c == '_' || IsHighOctet(c);
  }

  static bool IsLabel(std::string_view label) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    // RFC 1035 §2.3.4: 63 octets; the length of a U-label is judged when it has been mapped.
    return label.size() <= 63 || !base::IsAscii(label);
  }

  // RFC 5321 §4.1.3. Only the two address families that exist; their canonical form is kept.
  bool ReadLiteral(std::string* out) {
    const size_t end = rest_.find(']');
    if (end == std::string_view::npos) return false;
    std::string_view text = rest_.substr(1, end - 1);
    const bool v6 = base::StartsWithIgnoreCase(text, "IPv6:");
    if (v6) text.remove_prefix(5);
    const auto address = base::IpAddress::Parse(text);
    if (!address || address->is_v6() != v6) return false;
    *out = address->ToLiteral();
    rest_.remove_prefix(end + 1);
    return true;
  }

  std::string_view rest_;
  const PathLimits& limits_;
  bool too_long_ = false;
};

PathResult Finish(std::string_view* in, const PathReader& reader, const PathLimits& limits,
                  Address address) {
  const size_t used = in->size() - reader.rest().size();
  if (reader.too_long() || used > limits.path) return PathError::kTooLong;
  if (!base::IsUtf8(in->substr(0, used))) return PathError::kNotUtf8;
  *in = reader.rest();
  return address;
}

PathError Failure(const PathReader& reader) {
  return reader.too_long() ? PathError::kTooLong : PathError::kSyntax;
}

PathResult ParsePath(std::string_view* in, const PathLimits& limits) {
  PathReader reader(*in, limits);
  Address address;
  if (!reader.Take('<') || !reader.SkipSourceRoute() || !reader.ReadMailbox(&address) ||
      !reader.Take('>')) {
    return Failure(reader);
  }
  return Finish(in, reader, limits, std::move(address));
}

bool IsDotString(std::string_view text) {
  const auto atoms = base::Split(text, '.');
  return std::all_of(atoms.begin(), atoms.end(), [](std::string_view atom) {
    return !atom.empty() && std::all_of(atom.begin(), atom.end(), IsAtext);
  });
}

}  // namespace

bool Address::is_ascii() const { return base::IsAscii(local_part) && base::IsAscii(domain); }

std::string Address::ToString() const {
  if (is_null()) return "";
  std::string out = QuoteLocalPart(local_part);
  if (!domain.empty()) {
    out += '@';
    out += domain;
  }
  return out;
}

std::string Address::ToPath() const { return "<" + ToString() + ">"; }

PathResult ParseReversePath(std::string_view* in, const PathLimits& limits) {
  if (in->substr(0, 2) == "<>") {
    in->remove_prefix(2);
    return Address{};
  }
  return ParsePath(in, limits);
}

PathResult ParseForwardPath(std::string_view* in, const PathLimits& limits) {
  constexpr std::string_view kPostmaster = "<postmaster>";
  if (base::StartsWithIgnoreCase(*in, kPostmaster)) {
    in->remove_prefix(kPostmaster.size());
    return Address{"postmaster", ""};
  }
  return ParsePath(in, limits);
}

std::optional<Address> ParseMailbox(std::string_view text, const PathLimits& limits) {
  PathReader reader(text, limits);
  Address address;
  if (!reader.ReadMailbox(&address) || !reader.rest().empty() || reader.too_long() ||
      text.size() + 2 > limits.path || !base::IsUtf8(text)) {
    return std::nullopt;
  }
  return address;
}

std::string QuoteLocalPart(std::string_view local_part) {
  if (IsDotString(local_part)) return std::string(local_part);
  std::string out = "\"";
  for (char c : local_part) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  return out;
}

bool IsGreetingName(std::string_view name) {
  if (name.empty() || name.size() > 255) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c > 32 && c < 127 && std::string_view("()<>,;\\\"@").find(c) == std::string_view::npos;
  });
}

}  // namespace godwit::smtp
