#include "libs/spf/received_spf.h"

#include <algorithm>
#include <vector>

#include "libs/base/ascii.h"

namespace godwit::spf {
namespace {

constexpr size_t kWidth = 78;
constexpr size_t kMaxValue = 255;

// RFC 5322 §3.2.3 dot-atom, and the colon of IPv6 addresses stays out: that is quoted.
bool IsDotAtom(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(),
                     [](char c) {
                       return base::IsAlnum(c) ||
                              std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) !=
                                  std::string_view::npos;
                     }) &&
         text.front() != '.' && text.back() != '.' && text.find("..") == text.npos;
}

std::string Quoted(std::string_view text) {
  text = text.substr(0, kMaxValue);
  if (IsDotAtom(text)) return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result.push_back('\\');
    const auto byte = static_cast<unsigned char>(c);
    result.push_back(byte < 0x20 || byte == 0x7f ? '?' : c);
  }
  return result + "\"";
}

// RFC 5322 §3.2.2: ctext without what would end or nest the comment.
std::string CommentText(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, kMaxValue)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte != 0x7f && c != '(' && c != ')' && c != '\\';
    result.push_back(plain ? c : '?');
  }
  return result;
}

std::string Comment(const Result& result, const Query& query, std::string_view receiver) {
  const std::string ip = query.ip.Unmapped().ToString();
  std::string text(receiver);
  text += ": ";
  switch (result.code) {
    case ResultCode::kPass:
      text += "domain of " + result.sender + " designates " + ip + " as permitted sender";
      break;
    case ResultCode::kFail:
    case ResultCode::kSoftFail:
      text += "domain of " + result.sender + " does not designate " + ip + " as permitted sender";
      break;
    case ResultCode::kNeutral:
      text += ip + " is neither permitted nor denied by domain of " + result.sender;
      break;
    default: text += result.problem; break;
  }
  return "(" + CommentText(text) + ")";
}

}  // namespace

std::string FormatReceivedSpf(const Result& result, const Query& query, std::string_view receiver) {
  std::vector<std::string> pieces = {Comment(result, query, receiver)};
  const auto add = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) pieces.push_back(std::string(key) + "=" + Quoted(value) + ";");
  };
  add("client-ip", query.ip.Unmapped().ToString());
  add("envelope-from", query.mail_from);
  add("helo", query.helo);
  add("receiver", receiver);
  add("identity", result.identity == Identity::kHelo ? "helo" : "mailfrom");
  if (result.code != ResultCode::kTempError && result.code != ResultCode::kPermError) {
    add("mechanism", result.mechanism);
  } else {
    add("problem", result.problem);
  }
  std::string text(ResultName(result.code));
  size_t column = sizeof "Received-SPF: " - 1 + text.size();
  for (const std::string& piece : pieces) {
    const bool fold = column + 1 + piece.size() > kWidth;
    text += fold ? "\r\n " : " ";
    column = (fold ? 1 : column + 1) + piece.size();
    text += piece;
  }
  if (text.ends_with(';')) text.pop_back();
  return text;
}

}  // namespace godwit::spf
