#pragma once

// DataWriter: a message -> what is sent after DATA (RFC 5321 §4.5.2): dots of transparency put in,
// the final CRLF added where the message has none, the final dot; or what is sent in chunks, which
// have no dots (RFC 3030). The counterpart of DataReader, and as strict: a message with a bare CR
// or a bare LF never leaves us (it would be the sending half of "SMTP smuggling"). The same octets
// for every split into chunks. One thread; holds no memory.

#include <string>
#include <string_view>

namespace godwit::smtp {

class DataWriter {
 public:
  explicit DataWriter(bool dots = true) : dots_(dots) {}

  // Appends `chunk` to `*out`. False: a bare CR or LF; what was appended before must not be ended,
  // so the connection has to be given up.
  [[nodiscard]] bool Write(std::string_view chunk, std::string* out);
  // The end of the message. False: it ends with a bare CR.
  [[nodiscard]] bool End(std::string* out);

 private:
  bool WriteLine(std::string_view line, std::string* out);

  bool dots_;
  bool line_start_ = true;
  bool after_cr_ = false;
};

}  // namespace godwit::smtp
