// FETCH and UID FETCH (RFC 9051 §6.4.5).
//
// Messages come in pages by UID; headers and small messages are read in batches, large ones chunk
// by chunk (body.cc). No database connection is held while something is written to the client.

#include "services/imap-gateway/fetch.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/imap/date_time.h"
#include "libs/imap/structure_writer.h"
#include "libs/mime/record.h"
#include "libs/obs/log.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

using Kind = imap::FetchItem::Kind;
using Text = imap::Section::Text;

// Messages of one query: rows without and with the joined email.
constexpr uint64_t kPlainPage = 1000;
constexpr uint64_t kJoinedPage = 200;
// What is read in advance at a time, and what counts as small.
constexpr size_t kBatchMessages = 64;
constexpr uint64_t kBatchBytes = 512 * 1024;
constexpr uint64_t kSmallMessage = 64 * 1024;

bool IsTopHeader(const imap::FetchItem& item) {
  if (item.kind == Kind::kRfc822Header) return true;
  const Text text = item.section.text;
  return item.kind == Kind::kBodySection && item.section.part.empty() &&
         (text == Text::kHeader || text == Text::kHeaderFields || text == Text::kHeaderFieldsNot);
}

void PlanItem(const imap::FetchItem& item, FetchPlan* plan) {
  plan->sets_seen |= item.SetsSeen();
  switch (item.kind) {
    case Kind::kFlags: plan->names_flags = true; break;
    case Kind::kUid:
    case Kind::kInternalDate:
    case Kind::kRfc822Size:
    case Kind::kModSeq:
    case Kind::kEmailId: break;
    case Kind::kThreadId:
    case Kind::kEnvelope:
    case Kind::kBody:
    case Kind::kBodyStructure: plan->summary = true; break;
    case Kind::kRfc822:
    case Kind::kRfc822Header:
    case Kind::kRfc822Text:
    case Kind::kBodySection:
    case Kind::kBinary:
    case Kind::kBinarySize:
      plan->summary = true;
      (IsTopHeader(item) ? plan->headers : plan->bodies) = true;
      break;
  }
}

FetchPlan MakePlan(imap::FetchArguments fetch) {
  FetchPlan plan;
  plan.fetch = std::move(fetch);
  for (const imap::FetchItem& item : plan.fetch.items) PlanItem(item, &plan);
  return plan;
}

// How many of its first octets are worth reading in advance.
uint64_t FrontOf(const FetchPlan& plan, const store::BlobRef& blob) {
  if (plan.bodies && static_cast<uint64_t>(blob.size) <= kSmallMessage) return blob.size;
  return plan.headers ? blob.header_size : 0;
}

struct Front {
  store::BlobRef blob;
  size_t size = 0;
};

absl::StatusOr<std::vector<std::string>> ReadAll(db::Connection& connection,
                                                 store::AccountId account,
                                                 const std::vector<Front>& fronts) {
  const bool headers = std::all_of(fronts.begin(), fronts.end(), [](const Front& front) {
    return front.size == static_cast<size_t>(front.blob.header_size);
  });
  std::vector<std::string> texts;
  if (headers) {
    std::vector<store::BlobId> blobs;
    for (const Front& front : fronts) blobs.push_back(front.blob.blob);
    return store::ReadHeaders(connection, account, blobs);
  }
  for (const Front& front : fronts) {
    absl::StatusOr<std::string> text = std::string();
    if (front.size > 0) text = store::ReadBlob(connection, account, front.blob, 0, front.size);
    // Gone in the meantime: the message answers NIL for what it can not tell.
    if (text.status().code() == absl::StatusCode::kNotFound) text = std::string();
    if (!text.ok()) return text.status();
    texts.push_back(*std::move(text));
  }
  return texts;
}

}  // namespace

std::optional<imap::UidSet> Session::Resolve(const imap::SequenceSet& set, bool uid) {
  const imap::UidSet& uids = selected_->uids.get();
  if (set.saved) return selected_->saved.get();
  if (uid) return set.Resolve(uids.max()).Intersect(uids);
  // RFC 9051 §6.4: a message sequence number that does not exist is an error.
  if (set.Exceeds(uids.size())) return std::nullopt;
  return uids.SelectAll(set.Resolve(uids.size()));
}

base::Task<Reply> Session::Fetch(imap::FetchArguments fetch) {
  const std::optional<imap::UidSet> uids = Resolve(fetch.set, fetch.uid);
  if (!uids) co_return Reply::Bad("No such message");
  // RFC 7162 §3.1: asking for modseqs enables CONDSTORE.
  condstore_ |= fetch.changed_since.has_value() ||
                std::any_of(fetch.items.begin(), fetch.items.end(),
                            [](const imap::FetchItem& i) { return i.kind == Kind::kModSeq; });
  if (fetch.vanished && !qresync_) co_return Reply::Bad("QRESYNC is not enabled");
  if (fetch.vanished) {
    imap::QresyncArguments since;
    since.modseq = *fetch.changed_since;
    since.known_uids = fetch.set;
    co_await TellVanishedSince(std::move(since));
  }
  FetchPlan plan = MakePlan(std::move(fetch));
  store::UidRanges left = ToRanges(*uids);
  while (!left.empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&left, plan.summary ? kJoinedPage : kPlainPage);
    absl::Status status = co_await FetchPage(&plan, std::move(page));
    if (!status.ok()) co_return Failed(status, "FETCH");
  }
  if (!plan.status.ok()) co_return Failed(plan.status, "FETCH");
  // RFC 5530 §3: some were expunged by another session, which we have not told yet.
  const bool gone = plan.found < uids->size() && !plan.fetch.changed_since;
  co_return Reply{"OK", std::string(gone ? imap::code::kExpungeIssued : std::string_view()),
                  "Fetch completed"};
}

base::Task<absl::Status> Session::FetchPage(FetchPlan* plan, store::UidRanges page) {
  auto fetched = co_await env_->database->Run(
      [account = account_->id, mailbox = selected_->mailbox, page,
       columns = store::FetchColumns{.summary = plan->summary}](db::Connection& c) {
        return store::FetchEntries(c, account, mailbox, page, columns,
                                   static_cast<int>(kPlainPage));
      });
  if (!fetched.ok()) co_return fetched.status();
  std::vector<store::Entry> entries = std::move(fetched->entries);
  plan->found += entries.size();
  if (plan->fetch.changed_since) {
    std::erase_if(entries, [plan](const store::Entry& entry) {
      return static_cast<uint64_t>(entry.modseq) <= *plan->fetch.changed_since;
    });
  }
  std::vector<store::Uid> seen;
  if (plan->sets_seen && !selected_->read_only) {
    absl::StatusOr<std::vector<store::Uid>> marked = co_await MarkSeen(&entries);
    if (!marked.ok()) co_return marked.status();
    seen = *std::move(marked);
  }
  if (plan->names_flags || !seen.empty()) {
    absl::Status learnt = co_await LearnKeywords(&entries);
    if (!learnt.ok()) co_return learnt;
  }
  for (size_t next = 0; next < entries.size() && !closing_;) {
    std::vector<FetchedMessage> batch;
    for (uint64_t bytes = 0; next < entries.size() && batch.size() < kBatchMessages; ++next) {
      bytes += FrontOf(*plan, entries[next].blob);
      if (!batch.empty() && bytes > kBatchBytes) break;
      const bool tell = std::binary_search(seen.begin(), seen.end(), entries[next].uid);
      batch.push_back({std::move(entries[next]), "", tell && !plan->names_flags});
    }
    absl::Status status = co_await ReadFronts(plan, &batch);
    if (!status.ok()) co_return status;
    for (const FetchedMessage& message : batch) {
      status = co_await FetchMessage(plan, &message);
      if (!status.ok()) co_return status;
    }
  }
  co_return absl::OkStatus();
}

// Sets \Seen where it is missing; the UIDs that got it, ascending. `entries` is as afterwards.
base::Task<absl::StatusOr<std::vector<store::Uid>>> Session::MarkSeen(
    std::vector<store::Entry>* entries) {
  std::vector<store::Uid> unseen;
  for (const store::Entry& entry : *entries) {
    if ((entry.flags.mask & store::kSeen) == 0) unseen.push_back(entry.uid);
  }
  if (unseen.empty()) co_return unseen;
  store::FlagsChange change;
  change.flags = store::kSeen;
  absl::StatusOr<store::FlagsResult> result = co_await env_->database->Run(
      [account = account_->id, mailbox = selected_->mailbox, uids = store::FromUids(unseen), change,
       now = env_->clock->Now()](db::Connection& c) {
        return store::StoreFlags(c, account, mailbox, uids, change, now);
      });
  if (!result.ok()) co_return result.status();
  auto changed = result->entries.begin();
  for (store::Entry& entry : *entries) {
    while (changed != result->entries.end() && changed->uid < entry.uid) ++changed;
    if (changed == result->entries.end() || changed->uid != entry.uid) continue;
    entry.flags = changed->flags;
    entry.modseq = changed->modseq;
  }
  ToldOwnChange(result->change);
  co_return unseen;
}

base::Task<absl::Status> Session::ReadFronts(const FetchPlan* plan,
                                             std::vector<FetchedMessage>* batch) {
  std::vector<Front> fronts;
  bool any = false;
  for (const FetchedMessage& message : *batch) {
    fronts.push_back({message.entry.blob, FrontOf(*plan, message.entry.blob)});
    any |= fronts.back().size > 0;
  }
  if (!any) co_return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> texts =
      co_await env_->database->Run([account = account_->id, fronts = std::move(fronts)](
                                       db::Connection& c) { return ReadAll(c, account, fronts); });
  if (!texts.ok()) co_return texts.status();
  for (size_t i = 0; i < batch->size(); ++i) (*batch)[i].front = std::move((*texts)[i]);
  co_return absl::OkStatus();
}

base::Task<absl::Status> Session::FetchMessage(FetchPlan* plan, const FetchedMessage* message) {
  const store::Entry& entry = message->entry;
  mime::Summary summary;
  if (plan->summary) {
    absl::StatusOr<mime::Summary> decoded = mime::Decode(entry.summary);
    if (!decoded.ok()) co_return decoded.status();
    summary = *std::move(decoded);
  }
  out_ += "* " + std::to_string(selected_->uids.get().Rank(entry.uid)) + " FETCH (";
  bool first = true;
  for (const imap::FetchItem& item : plan->fetch.items) {
    if (!std::exchange(first, false)) out_ += ' ';
    if (item.kind == Kind::kEnvelope) {
      out_ += "ENVELOPE ";
      imap::AppendEnvelope(&out_, summary.envelope, text_mode());
    } else {
      co_await FetchItem(plan, &item, message, &summary.root);
    }
  }
  if (message->tell_flags) {
    out_ += ' ';
    AppendFlags(entry);
    if (condstore_) out_ += " MODSEQ (" + std::to_string(entry.modseq) + ")";
  }
  out_ += ")\r\n";
  env_->metrics->messages.At({"fetched"}).Add();
  co_await FlushIfLong();
  co_return absl::OkStatus();
}

base::Task<void> Session::FetchItem(FetchPlan* plan, const imap::FetchItem* item,
                                    const FetchedMessage* message, const mime::Part* root) {
  const store::Entry& entry = message->entry;
  if (item->kind == Kind::kFlags) {
    AppendFlags(entry);
    co_return;
  }
  out_ += item->ResponseName() + ' ';
  absl::Status status;
  switch (item->kind) {
    case Kind::kUid: out_ += std::to_string(entry.uid); break;
    case Kind::kInternalDate: out_ += imap::FormatDateTime(entry.received); break;
    case Kind::kRfc822Size: out_ += std::to_string(entry.size); break;
    case Kind::kModSeq: out_ += "(" + std::to_string(entry.modseq) + ")"; break;
    case Kind::kEmailId: out_ += "(M" + std::to_string(store::ToInt(entry.email)) + ")"; break;
    case Kind::kThreadId: out_ += "(T" + std::to_string(store::ToInt(entry.thread)) + ")"; break;
    case Kind::kBody: imap::AppendBodyStructure(&out_, *root, false, text_mode()); break;
    case Kind::kBodyStructure: imap::AppendBodyStructure(&out_, *root, true, text_mode()); break;
    case Kind::kBinary:
    case Kind::kBinarySize: status = co_await SendBinary(item, message, root); break;
    case Kind::kRfc822:
    case Kind::kRfc822Header:
    case Kind::kRfc822Text:
    case Kind::kBodySection: status = co_await SendSection(item, message, root); break;
    case Kind::kFlags:
    case Kind::kEnvelope: break;
  }
  // RFC 2180 §4.1.2: what was expunged and swept meanwhile is NIL; that is no failure.
  if (!status.ok() && status.code() != absl::StatusCode::kNotFound) plan->status.Update(status);
}

}  // namespace godwit::imap_gateway
