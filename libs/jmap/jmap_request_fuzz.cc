// Bytes of a client as a JMAP request: parsed, references resolved, and every argument object read
// by everything that reads arguments.

#include <cstdint>
#include <string_view>

#include "libs/base/check.h"
#include "libs/jmap/compose.h"
#include "libs/jmap/email.h"
#include "libs/jmap/email_filter.h"
#include "libs/jmap/mailbox.h"
#include "libs/jmap/request.h"
#include "libs/jmap/standard.h"
#include "libs/jmap/submission.h"
#include "libs/mime/header.h"

namespace godwit::jmap {
namespace {

void ReadArguments(const json::object& object) {
  Arguments get(object);
  const GetArguments standard = TakeGet(&get);
  TakeEmailGet(standard.properties, &get);
  get.Finish();
  Arguments query(object);
  const QueryArguments wanted = TakeQuery(&query);
  if (wanted.filter != nullptr) {
    auto filter = ParseFilter(*wanted.filter);
    if (auto* parsed = std::get_if<Filter>(&filter)) {
      Evaluate(*parsed, [](const FilterCondition& c) { return c.needs_content(); });
    }
    MailboxInfo inbox;
    inbox.id = 1;  // 0 is the root
    QueryMailboxes({inbox}, {wanted.filter, wanted.sort, true, true});
  }
  if (wanted.sort != nullptr) ParseSort(*wanted.sort);
  const auto [begin, end] = QueryWindow(wanted, 10, 5);
  GODWIT_CHECK(begin <= end && end <= 10);
  Arguments set(object);
  const SetArguments changes = TakeSet(&set);
  for (const json::object* objects : {changes.create, changes.update}) {
    if (objects == nullptr) continue;
    for (const auto& member : *objects) {
      ReadSubmission(member.value());
      if (!member.value().is_object()) continue;
      ReadMailboxChange(member.value().get_object());
      json::object target = {{"keywords", json::object()}};
      ApplyPatch(member.value().get_object(), &target);
      auto composed =
          ComposeEmail(member.value().get_object(), {"i@x.example", absl::UnixEpoch(), "=_b"});
      auto* email = std::get_if<ComposedEmail>(&composed);
      if (email == nullptr || email->pieces.empty()) continue;
      // Whatever was asked for, the header ends where we end it.
      GODWIT_CHECK(mime::SplitHeader(email->pieces[0].text).complete);
    }
  }
}

}  // namespace
}  // namespace godwit::jmap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace godwit::jmap;  // NOLINT: the entry point is outside of it
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = ParseRequest("application/json", text, Limits());
  auto* request = std::get_if<Request>(&parsed);
  if (request == nullptr) return 0;
  std::vector<Invocation> responses;
  size_t budget = 1 << 20;
  for (Invocation& call : request->calls) {
    if (!ResolveReferences(&call.arguments, responses, &budget)) ReadArguments(call.arguments);
    responses.push_back(call);
  }
  for (const Invocation& each : responses) {
    const auto again = ParseJson(Serialize(ToJson(each)));
    GODWIT_CHECK(again.ok());
  }
  return 0;
}
