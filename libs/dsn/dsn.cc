#include "libs/dsn/dsn.h"

#include <algorithm>
#include <array>

#include "libs/base/ascii.h"
#include "libs/dsn/utf8_address.h"
#include "libs/smtp/xtext.h"

namespace godwit::dsn {
namespace {

constexpr std::array<std::string_view, 5> kActionNames = {"failed", "delayed", "delivered",
                                                          "relayed", "expanded"};

}  // namespace

std::string_view ActionName(Action action) { return kActionNames[static_cast<size_t>(action)]; }

std::optional<Action> FindAction(std::string_view name) {
  for (size_t i = 0; i < kActionNames.size(); ++i) {
    if (base::EqualsIgnoreCase(kActionNames[i], name)) return static_cast<Action>(i);
  }
  return std::nullopt;
}

TypedAddress MakeAddress(std::string_view address) {
  return {base::IsAscii(address) ? "rfc822" : "utf-8", std::string(address)};
}

std::optional<TypedAddress> ParseOrcpt(std::string_view value) {
  const size_t semicolon = value.find(';');
  if (semicolon == std::string_view::npos || semicolon == 0) return std::nullopt;
  TypedAddress result{base::Lower(value.substr(0, semicolon)), ""};
  const std::string_view text = value.substr(semicolon + 1);
  // RFC 6533 §3: utf-8 has an encoding of its own.
  const auto decoded = result.type == "utf-8" ? DecodeUtf8Address(text) : smtp::XtextDecode(text);
  if (!decoded || decoded->empty() || !base::IsUtf8(*decoded)) return std::nullopt;
  result.address = *decoded;
  return result;
}

std::string FormatOrcpt(const TypedAddress& address) {
  const bool utf8 = address.type == "utf-8";
  return address.type + ";" +
         (utf8 ? EncodeUtf8Address(address.address) : smtp::XtextEncode(address.address));
}

bool Wanted(Action action, std::string_view reverse_path, const smtp::DsnNotify& notify) {
  // RFC 5321 §6.1: no notification about a notification.
  if (reverse_path.empty() || notify.never) return false;
  switch (action) {
    // RFC 3461 §4.1: without NOTIFY failures are told; that delays are, too, is our choice.
    case Action::kFailed: return !notify.given || notify.failure;
    case Action::kDelayed: return !notify.given || notify.delay;
    case Action::kDelivered:
    case Action::kRelayed:
    case Action::kExpanded: return notify.given && notify.success;
  }
  return false;
}

Returned WhatToReturn(const Report& report, std::optional<smtp::DsnReturn> ret, uint64_t size,
                      const ReturnRule& rule) {
  // RFC 3461 §4.3: RET speaks of failures; everything else brings the header only.
  const bool failed = std::any_of(report.recipients.begin(), report.recipients.end(),
                                  [](const Recipient& r) { return r.action == Action::kFailed; });
  if (!failed || size > rule.limit) return Returned::kHeader;
  if (ret) return *ret == smtp::DsnReturn::kFull ? Returned::kMessage : Returned::kHeader;
  return size <= rule.small ? Returned::kMessage : Returned::kHeader;
}

}  // namespace godwit::dsn
