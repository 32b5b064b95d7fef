// The parsers of header values: never fail, make good UTF-8 where they promise it, and read again
// what the writers write.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "libs/base/ascii.h"
#include "libs/base/check.h"
#include "libs/mime/address.h"
#include "libs/mime/base_subject.h"
#include "libs/mime/date.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/header.h"
#include "libs/mime/message_id.h"
#include "libs/mime/parameter.h"

namespace godwit::mime {
namespace {

void CheckHeader(std::string_view text) {
  const HeaderBlock block = SplitHeader(text);
  GODWIT_CHECK(block.size <= text.size());
  size_t at = 0;
  for (const HeaderField& field : block.fields) {
    GODWIT_CHECK(field.offset >= at && field.size <= block.size - field.offset);
    GODWIT_CHECK(!field.name.empty());
    at = field.offset + field.size;
  }
  GODWIT_CHECK(Unfold(text).find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
}

void CheckWriting(std::string_view text) {
  std::string field;
  AppendField(&field, "X-Field", text);
  const HeaderBlock block = SplitHeader(field);
  GODWIT_CHECK(block.fields.size() == 1 && !block.complete && block.size == field.size());
  size_t line = 0;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\n') {
      GODWIT_CHECK(i > 0 && field[i - 1] == '\r');
      GODWIT_CHECK(i - 1 - line <= 998 && i - 1 > line);
      line = i + 1;
    }
  }
  GODWIT_CHECK(line == field.size());
}

void CheckAddresses(std::string_view text) {
  const AddressList list = ParseAddressList(text);
  int open = 0;
  for (const Address& address : list) {
    if (address.kind == Address::Kind::kGroupStart) ++open;
    if (address.kind == Address::Kind::kGroupEnd) --open;
    GODWIT_CHECK(open == 0 || open == 1);
    GODWIT_CHECK(base::IsUtf8(address.DecodedName()));
    for (const std::string* part :
         {&address.name, &address.route, &address.mailbox, &address.host}) {
      GODWIT_CHECK(part->find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    }
  }
  GODWIT_CHECK(open == 0);
  ParseAddressList(FormatAddressList(list));
}

void CheckWords(std::string_view text) {
  GODWIT_CHECK(base::IsUtf8(DecodeWords(text)));
  if (!base::IsUtf8(text)) return;
  for (const WordPlace place : {WordPlace::kText, WordPlace::kPhrase}) {
    const std::string encoded = EncodeWords(text, place);
    GODWIT_CHECK(base::IsAscii(encoded));
    std::string want(text);
    for (char& c : want) {
      if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
    }
    GODWIT_CHECK(DecodeWords(encoded) == want);
  }
}

void CheckParameters(std::string_view text) {
  const auto disposition = ParseDisposition(text);
  if (disposition) {
    for (const Parameter& parameter : disposition->params) {
      const auto value = FindParameter(disposition->params, parameter.name);
      GODWIT_CHECK(value.has_value() && base::IsUtf8(*value));
    }
  }
  ParseMediaType(text);
  std::string written = "attachment";
  AppendParameter(&written, "filename", text);
  const auto again = ParseDisposition(written);
  GODWIT_CHECK(again.has_value());
  const std::string* raw = FindRawParameter(again->params, "filename");
  if (raw != nullptr) {
    GODWIT_CHECK(*raw == text);
  } else if (base::IsUtf8(text)) {
    GODWIT_CHECK(FindParameter(again->params, "filename") == text);
  }
}

void CheckRest(std::string_view text) {
  const auto date = ParseDate(text);
  if (date && date->offset_minutes > -1440 && date->offset_minutes < 1440) {
    const int year =
        absl::ToCivilYear(date->time + absl::Minutes(date->offset_minutes), absl::UTCTimeZone())
            .year();
    const auto again = ParseDate(FormatDate(date->time, date->offset_minutes));
    GODWIT_CHECK(year > 9999 || again == date);
  }
  for (const std::string& id : ParseMessageIds(text, 5)) {
    GODWIT_CHECK(!id.empty() && id.size() <= 998);
  }
  const std::string decoded = DecodeWords(text);
  GODWIT_CHECK(base::IsUtf8(ExtractBaseSubject(decoded).text));
}

void CheckAll(std::string_view text) {
  CheckHeader(text);
  CheckWriting(text);
  CheckAddresses(text);
  CheckWords(text);
  CheckParameters(text);
  CheckRest(text);
}

}  // namespace
}  // namespace godwit::mime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  godwit::mime::CheckAll({reinterpret_cast<const char*>(data), size});
  return 0;
}
