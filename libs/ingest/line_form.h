#pragma once

// LineForm: a message that came with BODY=BINARYMIME (RFC 3030 §3) as the lines that everything
// behind the SMTP session works with: binary parts become base64 (libs/mime/binary_encoder.h), and
// what comes out is judged as DATA is (libs/smtp/data_reader.h): a bare CR or LF in a header, in a
// preamble or in a part that is not called binary makes the message bad.
//
//   ingest::LineForm lines(max_line);
//   lines.Feed(piece, &out);                 // for each
//   lines.Finish(&out);
//   if (lines.refused()) ...                 // the reply to give; `out` is then worth nothing
//
// Who verifies signatures takes the octets as they came, not these. No I/O; the same for every
// split; memory as BinaryEncoder. One thread.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "libs/mime/binary_encoder.h"
#include "libs/smtp/data_reader.h"
#include "libs/smtp/reply.h"

namespace godwit::ingest {

class LineForm {
 public:
  // `max_line`: octets of a line, without its CRLF.
  explicit LineForm(size_t max_line);

  // Appends to `*out`.
  void Feed(std::string_view bytes, std::string* out);
  // Appends the rest; of a message whose last line has no end, that too. Call once.
  void Finish(std::string* out);

  // The first fault, complete after Finish: 550 5.6.11 (line ends), 550 5.6.0 (line too long),
  // 554 5.6.2 (RFC 3463 §3.7: conversion required and prohibited: a signature covers binary parts).
  std::optional<smtp::Reply> refused() const;
  size_t memory() const { return encoder_.memory(); }

 private:
  void Judge(std::string_view bytes);

  mime::BinaryEncoder encoder_;
  smtp::DataReader reader_;
};

}  // namespace godwit::ingest
