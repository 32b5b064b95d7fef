#pragma once

// Copying the header of a message without some of its fields, octet for octet.

#include <functional>
#include <string>
#include <string_view>

namespace godwit::smtp {

// `name`: the front of the field up to the first octet that no name has, because a reader may take
// "Return-Path<NUL>:" for the field, though it is none. `line`: all of it, with its folds and CRLF.
using FieldPredicate = std::function<bool(std::string_view name, std::string_view line)>;

// `header` as it came, with or without the empty line at its end (RFC 5322 §2.1: a message without
// body may come without); what is appended has it.
void AppendHeaderWithout(std::string_view header, const FieldPredicate& remove, std::string* out);

}  // namespace godwit::smtp
