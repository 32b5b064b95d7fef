#pragma once

// Ids and states as clients see them: a letter for the type and a number of the store, so that an
// id of one type is never taken for one of another.
//
//   account a7, mailbox m3, email e55, thread t9, submission s4; a state is a number.
//   blobs: B55 the octets of email e55; P55-1_2 part 1.2 of it; U8 an upload.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace godwit::jmap {

// RFC 8620 §1.2: 1 to 255 of A-Z a-z 0-9 - _.
bool IsId(std::string_view text);

enum class IdType : char {
  kAccount = 'a',
  kMailbox = 'm',
  kEmail = 'e',
  kThread = 't',
  kSubmission = 's',
};

std::string FormatId(IdType type, int64_t number);
// The number; nullopt for what was never an id of this type.
std::optional<int64_t> ParseId(IdType type, std::string_view text);

std::string FormatState(int64_t modseq);
std::optional<int64_t> ParseState(std::string_view text);

struct BlobName {
  enum class Kind { kEmail, kPart, kUpload };
  Kind kind = Kind::kEmail;
  int64_t number = 0;   // of the email or the upload
  std::string part_id;  // kPart: "1.2"
};
std::string FormatBlob(const BlobName& name);
std::optional<BlobName> ParseBlob(std::string_view text);

}  // namespace godwit::jmap
