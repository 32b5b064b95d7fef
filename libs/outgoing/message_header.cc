#include "libs/outgoing/message_header.h"

#include <algorithm>
#include <optional>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/dmarc/author.h"
#include "libs/idna/domain.h"
#include "libs/mime/address.h"
#include "libs/mime/header.h"
#include "libs/smtp/header_copy.h"
#include "libs/smtp/trace.h"

namespace godwit::outgoing {
namespace {

using smtp::MakeReply;
using smtp::ReplyKind;

// At most once: RFC 5322 §3.6, RFC 2045 §3, RFC 2369 §3. Of two, one reader takes the first and
// another the last; and our signature would cover both.
constexpr std::string_view kOnce[] = {"From",
                                      "Sender",
                                      "Reply-To",
                                      "To",
                                      "Cc",
                                      "Subject",
                                      "Date",
                                      "Message-ID",
                                      "In-Reply-To",
                                      "References",
                                      "MIME-Version",
                                      "Content-Type",
                                      "Content-Transfer-Encoding",
                                      "List-Id",
                                      "List-Post",
                                      "List-Help",
                                      "List-Subscribe",
                                      "List-Unsubscribe",
                                      "List-Unsubscribe-Post",
                                      "List-Owner",
                                      "List-Archive"};

smtp::Reply Refuse(std::string_view why) { return MakeReply(ReplyKind::kBadHeader, why); }

// All there are: one that is not listed would not be judged.
mime::HeaderBlock SplitAll(std::string_view header) {
  mime::HeaderLimits limits;
  limits.max_fields = header.size();
  limits.max_bytes = header.size();
  return mime::SplitHeader(header, limits);
}

// True when every octet belongs to a field or to the empty line.
bool IsAllFields(const mime::HeaderBlock& block, std::string_view header) {
  size_t end = 0;
  for (const mime::HeaderField& field : block.fields) {
    if (field.offset != end) return false;
    end = field.offset + field.size;
  }
  const std::string_view rest = header.substr(end);
  return block.size == header.size() && (rest.empty() || rest == "\r\n");
}

std::optional<smtp::Reply> CheckForm(const mime::HeaderBlock& block, std::string_view header,
                                     bool smtputf8) {
  if (header.find('\0') != header.npos) return Refuse("NUL in the header");
  if (!IsAllFields(block, header)) return Refuse("A line of the header is no field");
  if (!base::IsUtf8(header)) return Refuse("The header is not UTF-8");
  // RFC 6531 §3.4: such a message goes to servers with SMTPUTF8 only, and its sender says so.
  if (!smtputf8 && !base::IsAscii(header)) return MakeReply(ReplyKind::kHeaderNeedsSmtpUtf8);
  for (std::string_view name : kOnce) {
    if (block.FindAll(name).size() > 1) return Refuse(std::string(name) + " stands twice");
  }
  return std::nullopt;
}

// The addresses of a field, "local@domain"; nothing when two readers could see two different lists:
// the strict parser (dmarc::FromDomains) and the one that clients resemble have to agree.
std::optional<std::vector<std::string>> ReadAuthors(std::string_view value) {
  const auto domains = dmarc::FromDomains(value);
  if (!domains.ok()) return std::nullopt;
  std::vector<std::string> authors;
  for (const mime::Address& address : mime::ParseAddressList(value)) {
    if (address.kind != mime::Address::Kind::kMailbox) continue;
    const std::optional<std::string> domain = idna::ToAscii(address.host);
    const bool same = domain && authors.size() < domains->size() &&
                      base::EqualsIgnoreCase(*domain, (*domains)[authors.size()]);
    if (!same || address.mailbox.empty()) return std::nullopt;
    authors.push_back(address.mailbox + "@" + base::Lower(*domain));
  }
  if (authors.empty() || authors.size() != domains->size()) return std::nullopt;
  return authors;
}

std::string_view DomainOf(std::string_view address) {
  return address.substr(address.rfind('@') + 1);
}

bool IsOneDomain(const std::vector<std::string>& authors) {
  return std::all_of(authors.begin(), authors.end(), [&](const std::string& author) {
    return DomainOf(author) == DomainOf(authors.front());
  });
}

// RFC 5322 §3.6.2: From, and Sender when somebody else than its one author sends.
std::optional<smtp::Reply> ReadPeople(const mime::HeaderBlock& block, HeaderFacts* facts) {
  const mime::HeaderField* from = block.Find("From");
  if (from == nullptr) return Refuse("From is missing");
  auto authors = ReadAuthors(from->value);
  if (!authors) return Refuse("From can not be read");
  // One domain signs.
  if (!IsOneDomain(*authors)) return Refuse("From has several domains");
  facts->authors = *std::move(authors);
  const std::string& first = facts->authors.front();
  facts->from =
      mime::QuoteLocalPart(first.substr(0, first.rfind('@'))) + "@" + std::string(DomainOf(first));
  const mime::HeaderField* sender = block.Find("Sender");
  if (sender == nullptr) return std::nullopt;
  authors = ReadAuthors(sender->value);
  if (!authors || authors->size() != 1) return Refuse("Sender can not be read");
  facts->authors.push_back(std::move(authors->front()));
  return std::nullopt;
}

bool HasText(const mime::HeaderBlock& block, std::string_view name) {
  const mime::HeaderField* field = block.Find(name);
  return field != nullptr && !base::Trim(field->value).empty();
}

}  // namespace

std::variant<HeaderFacts, smtp::Reply> ReadHeader(std::string_view header, bool smtputf8) {
  const mime::HeaderBlock block = SplitAll(header);
  if (auto reply = CheckForm(block, header, smtputf8)) return *std::move(reply);
  HeaderFacts facts;
  if (auto reply = ReadPeople(block, &facts)) return *std::move(reply);
  facts.has_date = HasText(block, "Date");
  facts.has_message_id = HasText(block, "Message-ID");
  facts.received = block.FindAll("Received").size();
  facts.ascii = base::IsAscii(header);
  return facts;
}

std::string CompleteHeader(std::string_view header, const HeaderFacts& facts, absl::Time now,
                           std::string_view token) {
  std::string out;
  out.reserve(header.size() + 256);
  // RFC 6409 §8.2, §8.3: what is missing is added; an empty one is replaced.
  if (!facts.has_date) out += "Date: " + smtp::WriteDate(now) + "\r\n";
  if (!facts.has_message_id) {
    out += "Message-ID: <" + std::string(token) + "@" + std::string(DomainOf(facts.from)) + ">\r\n";
  }
  const auto remove = [&](std::string_view name, std::string_view) {
    // RFC 5322 §3.6.3: nobody else learns who is in Bcc. RFC 5321 §4.4: the last server writes
    // Return-Path.
    if (base::EqualsIgnoreCase(name, "Bcc") || base::EqualsIgnoreCase(name, "Resent-Bcc") ||
        base::EqualsIgnoreCase(name, "Return-Path")) {
      return true;
    }
    if (!facts.has_date && base::EqualsIgnoreCase(name, "Date")) return true;
    return !facts.has_message_id && base::EqualsIgnoreCase(name, "Message-ID");
  };
  smtp::AppendHeaderWithout(header, remove, &out);
  return out;
}

}  // namespace godwit::outgoing
