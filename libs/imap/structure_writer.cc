#include "libs/imap/structure_writer.h"

#include <optional>
#include <string_view>
#include <vector>

#include "libs/base/ascii.h"

namespace godwit::imap {
namespace {

class Writer {
 public:
  Writer(std::string* out, TextMode mode) : out_(out), mode_(mode) {}

  void Envelope(const mime::Envelope& envelope) {
    Raw("(");
    AppendNstring(out_, envelope.date, mode_);
    Raw(" ");
    AppendNstring(out_, envelope.subject, mode_);
    // RFC 9051 §7.5.2: a missing or empty Sender or Reply-To is told as From.
    const mime::AddressList* lists[] = {
        &envelope.from,
        envelope.sender.empty() ? &envelope.from : &envelope.sender,
        envelope.reply_to.empty() ? &envelope.from : &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc};
    for (const mime::AddressList* list : lists) {
      Raw(" ");
      Addresses(*list);
    }
    Raw(" ");
    AppendNstring(out_, envelope.in_reply_to, mode_);
    Raw(" ");
    AppendNstring(out_, envelope.message_id, mode_);
    Raw(")");
  }

  void Structure(const mime::Part& part, bool extended) {
    Raw("(");
    if (part.kind == mime::Part::Kind::kMultipart) {
      Multipart(part, extended);
    } else {
      Single(part, extended);
    }
    Raw(")");
  }

 private:
  void Raw(std::string_view text) { *out_ += text; }
  void String(std::string_view text) { AppendString(out_, text, mode_); }
  void Upper(std::string_view text) { String(base::Upper(text)); }
  void Number(uint64_t number) { *out_ += std::to_string(number); }

  // NIL when it is empty.
  void Optional(std::string_view text) {
    if (text.empty()) {
      Raw("NIL");
    } else {
      String(text);
    }
  }

  void Addresses(const mime::AddressList& list) {
    if (list.empty()) return Raw("NIL");
    Raw("(");
    for (const mime::Address& address : list) OneAddress(address);
    Raw(")");
  }

  // RFC 9051 §7.5.2: (name adl mailbox host). A NIL host is group syntax: with the group's name as
  // mailbox it begins a group, with NIL it ends one; so a plain address never has a NIL there.
  void OneAddress(const mime::Address& address) {
    switch (address.kind) {
      case mime::Address::Kind::kGroupStart:
        Raw("(NIL NIL ");
        String(address.mailbox);
        return Raw(" NIL)");
      case mime::Address::Kind::kGroupEnd: return Raw("(NIL NIL NIL NIL)");
      case mime::Address::Kind::kMailbox: break;
    }
    Raw("(");
    Optional(address.name);
    Raw(" ");
    Optional(address.route);
    Raw(" ");
    String(address.mailbox);
    Raw(" ");
    String(address.host);
    Raw(")");
  }

  void Parameters(const mime::Parameters& parameters) {
    if (parameters.empty()) return Raw("NIL");
    Raw("(");
    for (const mime::Parameter& parameter : parameters) {
      if (&parameter != &parameters.front()) Raw(" ");
      Upper(parameter.name);
      Raw(" ");
      String(parameter.value);
    }
    Raw(")");
  }

  void Disposition(const std::optional<mime::Disposition>& disposition) {
    if (!disposition) return Raw("NIL");
    Raw("(");
    Upper(disposition->type);
    Raw(" ");
    Parameters(disposition->params);
    Raw(")");
  }

  void Languages(const std::vector<std::string>& languages) {
    if (languages.empty()) return Raw("NIL");
    if (languages.size() == 1) return String(languages.front());
    Raw("(");
    for (const std::string& language : languages) {
      if (&language != &languages.front()) Raw(" ");
      String(language);
    }
    Raw(")");
  }

  // What body-ext-1part and body-ext-mpart have in common.
  void Extension(const mime::Part& part) {
    Raw(" ");
    Disposition(part.disposition);
    Raw(" ");
    Languages(part.languages);
    Raw(" ");
    Optional(part.location);
  }

  void Multipart(const mime::Part& part, bool extended) {
    for (const mime::Part& child : part.children) Structure(child, extended);
    // RFC 9051 §9: body-type-mpart has at least one body. Where no delimiter was found there is
    // one without content.
    if (part.children.empty()) Structure(mime::Part(), extended);
    Raw(" ");
    Upper(part.subtype);
    if (!extended) return;
    Raw(" ");
    Parameters(part.params);
    Extension(part);
  }

  void Single(const mime::Part& part, bool extended) {
    const bool message = part.kind == mime::Part::Kind::kMessage;
    // A leaf that says it has structure, but was not looked into (see mime::Part).
    const bool opaque =
        !message && (part.type == "multipart" || part.type == "message") &&
        (part.type == "multipart" || part.subtype == "rfc822" || part.subtype == "global");
    Upper(opaque ? "application" : part.type);
    Raw(" ");
    Upper(opaque ? "octet-stream" : part.subtype);
    Raw(" ");
    Parameters(part.params);
    Raw(" ");
    Optional(part.id);
    Raw(" ");
    Optional(part.description);
    Raw(" ");
    Upper(part.encoding.empty() ? "7bit" : part.encoding);
    Raw(" ");
    Number(part.body_size);
    if (message) {
      Raw(" ");
      Envelope(part.envelope ? *part.envelope : mime::Envelope());
      Raw(" ");
      Structure(part.children.front(), extended);
    }
    if (message || (part.type == "text" && !opaque)) {
      Raw(" ");
      Number(part.lines);
    }
    if (!extended) return;
    Raw(" ");
    Optional(part.md5);
    Extension(part);
  }

  std::string* out_;
  TextMode mode_;
};

}  // namespace

void AppendEnvelope(std::string* out, const mime::Envelope& envelope, TextMode mode) {
  Writer(out, mode).Envelope(envelope);
}

void AppendBodyStructure(std::string* out, const mime::Part& part, bool extended, TextMode mode) {
  Writer(out, mode).Structure(part, extended);
}

}  // namespace godwit::imap
