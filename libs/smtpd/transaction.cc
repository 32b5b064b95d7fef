#include "libs/smtpd/transaction.h"

#include <utility>

#include "libs/base/check.h"

namespace godwit::smtpd {

absl::Status Handler::Admit(const net::Stream& /*stream*/) { return absl::OkStatus(); }

void Handler::NoteRefusal(const ClientFacts& /*client*/, const smtp::Reply& /*reply*/,
                          std::string_view /*why*/) {}

base::Task<smtp::AuthAnswer> Handler::Authenticate(ClientFacts /*client*/,
                                                   smtp::CheckAuth /*check*/) {
  GODWIT_CHECK(false);  // not offered
  co_return smtp::MakeReply(smtp::ReplyKind::kNotImplemented);
}

base::Task<smtp::AuthAnswer> Handler::Continue(ClientFacts /*client*/,
                                               smtp::AuthResponse /*response*/) {
  GODWIT_CHECK(false);  // nothing was asked
  co_return smtp::MakeReply(smtp::ReplyKind::kNotImplemented);
}

smtp::Reply WithId(smtp::Reply reply, const std::string& id) {
  if (reply.code == 354) return reply;
  if (reply.lines.empty()) reply.lines.emplace_back();
  reply.lines.back() += " [" + id + "]";
  return reply;
}

std::string_view ResultOf(const smtp::Reply& reply) {
  if (reply.positive()) return "accepted";
  return reply.transient() ? "deferred" : "rejected";
}

}  // namespace godwit::smtpd
