#include "tools/godwitctl/message_input.h"

#include <iostream>
#include <iterator>

namespace godwit::ctl {

std::string ReadStandardInput() { return {std::istreambuf_iterator<char>(std::cin), {}}; }

std::string WithCrlf(std::string_view text) {
  std::string message;
  message.reserve(text.size() + text.size() / 32);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) message += '\r';
    message += text[i];
  }
  return message;
}

std::string LikeLinesOf(std::string_view message, std::string_view fields) {
  std::string result;
  const bool crlf = message.find("\r\n") != message.npos || message.find('\n') == message.npos;
  for (const char c : fields) {
    if (c != '\r' || crlf) result += c;
  }
  return result;
}

}  // namespace godwit::ctl
