// Whole messages in testdata/NN-slug.eml and what the parser tells of them in NN-slug.want. With
// GODWIT_UPDATE_GOLDEN set to the source folder of testdata the .want files are written anew.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "libs/mime/parser.h"
#include "libs/mime/record.h"
#include "libs/testing/split.h"

namespace godwit::mime {
namespace {

const std::filesystem::path kFolder = "libs/mime/testdata";

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Printable, one line.
std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 32 && octet < 127 && c != '\\') {
      out += c;
      continue;
    }
    char buffer[8];
    std::snprintf(buffer, sizeof buffer, "\\x%02x", octet);
    out += buffer;
  }
  return out;
}

class Dump {
 public:
  std::string Run(const Summary& summary) {
    Line("message header=" + std::to_string(summary.header_size) +
         " body=" + std::to_string(summary.body_size) + Flags(summary));
    Line("preview \"" + Escape(summary.preview) + '"');
    Line("base-subject \"" + Escape(summary.base_subject) + '"');
    Line("id \"" + Escape(summary.message_id) + "\" in-reply-to" + Words(summary.in_reply_to) +
         " references" + Words(summary.references));
    Show(summary.envelope);
    Show(summary.root);
    return out_;
  }

 private:
  static std::string Flags(const Summary& summary) {
    std::string out;
    if (summary.header_8bit) out += " header-8bit";
    if (summary.body_8bit) out += " body-8bit";
    if (summary.needs_smtputf8) out += " smtputf8";
    if (summary.has_nul) out += " nul";
    if (summary.limited) out += " limited";
    return out;
  }
  static std::string Words(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) out += " <" + Escape(word) + '>';
    return out;
  }
  static std::string Show(const Parameters& params) {
    std::string out;
    for (const auto& p : params) out += "; " + p.name + "=\"" + Escape(p.value) + '"';
    return out;
  }
  void Line(const std::string& text) { out_ += std::string(2 * depth_, ' ') + text + '\n'; }
  void Text(const char* name, const std::string& text) {
    if (!text.empty()) Line(std::string(name) + " \"" + Escape(text) + '"');
  }
  void Show(const char* name, const AddressList& list) {
    for (const Address& a : list) {
      if (a.kind == Address::Kind::kGroupEnd) {
        Line(std::string(name) + " }");
      } else if (a.kind == Address::Kind::kGroupStart) {
        Line(std::string(name) + " { " + Escape(a.mailbox));
      } else {
        Line(std::string(name) + " \"" + Escape(a.name) + "\" \"" + Escape(a.route) + "\" \"" +
             Escape(a.mailbox) + "\" \"" + Escape(a.host) + '"');
      }
    }
  }
  void Show(const Envelope& envelope) {
    Line("envelope");
    ++depth_;
    if (envelope.date) Line("date \"" + Escape(*envelope.date) + '"');
    if (envelope.subject) Line("subject \"" + Escape(*envelope.subject) + '"');
    Show("from", envelope.from);
    Show("sender", envelope.sender);
    Show("reply-to", envelope.reply_to);
    Show("to", envelope.to);
    Show("cc", envelope.cc);
    Show("bcc", envelope.bcc);
    if (envelope.in_reply_to) Line("in-reply-to \"" + Escape(*envelope.in_reply_to) + '"');
    if (envelope.message_id) Line("message-id \"" + Escape(*envelope.message_id) + '"');
    --depth_;
  }
  void Show(const Part& part) {
    constexpr const char* kKinds[] = {"leaf ", "multipart ", "embedded "};
    Line(kKinds[static_cast<size_t>(part.kind)] + part.type + '/' + part.subtype +
         Show(part.params));
    ++depth_;
    Line("header=" + std::to_string(part.header_offset) + '+' + std::to_string(part.header_size) +
         " body=" + std::to_string(part.body_offset) + '+' + std::to_string(part.body_size) +
         " lines=" + std::to_string(part.lines) + ' ' + Escape(part.encoding));
    Text("id", part.id);
    Text("description", part.description);
    Text("md5", part.md5);
    Text("location", part.location);
    if (part.disposition) {
      Line("disposition " + part.disposition->type + Show(part.disposition->params));
    }
    if (!part.languages.empty()) Line("language" + Words(part.languages));
    if (part.envelope) Show(*part.envelope);
    for (const Part& child : part.children) Show(child);
    --depth_;
  }

  std::string out_;
  size_t depth_ = 0;
};

TEST_CASE("Golden messages parse as written down", "[mime][golden]") {
  std::set<std::filesystem::path> messages;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".eml") messages.insert(entry.path());
  }
  REQUIRE(messages.size() >= 12);
  const char* update = std::getenv("GODWIT_UPDATE_GOLDEN");
  for (const auto& path : messages) {
    CAPTURE(path.filename().string());
    const std::string message = ReadFile(path);
    const Summary summary = ParseMessage(message);
    std::filesystem::path want = path;
    want.replace_extension(".want");
    if (update != nullptr) {
      std::ofstream(std::filesystem::path(update) / want.filename()) << Dump().Run(summary);
    } else {
      CHECK(Dump().Run(summary) == ReadFile(want));
    }
    testing::ForEachSplit(message, [&](const testing::Chunks& chunks) {
      Parser parser;
      for (const auto chunk : chunks) parser.Feed(chunk);
      const bool same = parser.Finish() == summary;
      CHECK(same);
    });
    const auto decoded = Decode(Encode(summary));
    REQUIRE(decoded.ok());
    CHECK(*decoded == summary);
  }
}

}  // namespace
}  // namespace godwit::mime
