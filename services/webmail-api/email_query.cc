// Email/query (RFC 8621 §4.4): goes through the visible emails of a mailbox or the account, newest
// first, page by page, and judges each by the filter. Structure comes first, then the searched
// columns, then octets; no more is read than decides.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/imap/text_match.h"
#include "libs/jmap/email_filter.h"
#include "libs/jmap/id.h"
#include "libs/mime/body.h"
#include "libs/mime/encoded_word.h"
#include "libs/mime/header.h"
#include "libs/mime/record.h"
#include "libs/store/jmap_email.h"
#include "libs/store/mailbox.h"
#include "services/webmail-api/calls.h"
#include "services/webmail-api/changes.h"
#include "services/webmail-api/keywords.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

// Emails in one job of the database.
constexpr int kScanPage = 5000;
constexpr int kTextPage = 200;
// An account with more than this is searched mailbox by mailbox.
constexpr size_t kMaxScanned = 500'000;
// A job of the database that has read more octets than this gives its turn to others.
constexpr int64_t kJobOctets = 4ll * 1024 * 1024;

struct Query {
  std::optional<jmap::Filter> filter;
  std::vector<jmap::Comparator> sort;
  bool collapse = false;
  // Looked at for each email.
  bool needs_fields = false;
  bool needs_content = false;
  bool needs_threads = false;
  // The order is the one in which emails come: the window can be found without seeing all.
  bool streaming = false;
  size_t enough = SIZE_MAX;
  std::optional<std::string> anchor;
  size_t behind_anchor = 0;
};

// An email that passed, with what it is sorted by.
struct Passed {
  store::EmailId id;
  store::ThreadId thread = store::ThreadId::kNone;
  absl::Time received;
  int64_t size = 0;
  std::string from, to, subject;  // where it is sorted by them
  absl::Time sent;
  uint32_t keywords = 0;  // a bit for each comparator by keyword, where it has it
};

struct Progress {
  store::JmapScan scan;
  std::map<store::KeywordId, std::string> names;
  std::map<std::string, std::string> folded;  // of needles
  std::vector<Passed> passed;
  std::set<store::ThreadId> threads;  // seen, when collapsing
  store::Modseq state = 1;
  size_t scanned = 0;
  int64_t search_left = 0;
  std::optional<size_t> anchor_at;
  bool done = false;
  std::optional<jmap::MethodError> error;
};

// One page of emails, on a database thread.
class PageJudge {
 public:
  PageJudge(db::Connection& c, store::AccountId account, const Query& query, Progress* progress)
      : c_(c), account_(account), query_(query), progress_(progress) {}

  absl::Status Run() {
    GODWIT_ASSIGN_OR_RETURN(auto rows, store::ScanJmapEmails(c_, account_, progress_->scan));
    if (progress_->scanned + rows.size() > kMaxScanned) {
      progress_->error = jmap::MethodError{"unsupportedFilter", "too many emails: name a mailbox"};
      return absl::OkStatus();
    }
    GODWIT_RETURN_IF_ERROR(ReadFields(rows));
    const int64_t stop_at = progress_->search_left - kJobOctets;
    for (const store::JmapScanRow& row : rows) {
      GODWIT_RETURN_IF_ERROR(JudgeRow(row));
      ++progress_->scanned;
      progress_->scan.before = row.received;
      progress_->scan.before_id = row.id;
      if (Enough() || progress_->error) {
        progress_->done = true;
        return absl::OkStatus();
      }
      if (progress_->search_left < stop_at) return absl::OkStatus();
    }
    progress_->done = rows.size() < static_cast<size_t>(progress_->scan.limit);
    return absl::OkStatus();
  }

 private:
  bool Enough() const {
    if (!query_.streaming) return false;
    if (!query_.anchor) return progress_->passed.size() >= query_.enough;
    return progress_->anchor_at &&
           progress_->passed.size() >= *progress_->anchor_at + query_.behind_anchor;
  }

  absl::Status ReadFields(const std::vector<store::JmapScanRow>& rows) {
    fields_.clear();
    if (!query_.needs_fields && !query_.needs_content && !query_.needs_threads) {
      return absl::OkStatus();
    }
    std::vector<store::EmailId> ids;
    for (const store::JmapScanRow& row : rows) ids.push_back(row.id);
    if (!query_.needs_fields && !query_.needs_content) {
      GODWIT_ASSIGN_OR_RETURN(auto threads, store::ThreadsOfEmails(c_, account_, ids));
      for (const auto& [email, thread] : threads) fields_[email].thread = thread;
      return absl::OkStatus();
    }
    GODWIT_ASSIGN_OR_RETURN(auto found,
                            store::GetJmapSearchRows(c_, account_, ids, query_.needs_content));
    for (store::JmapSearchRow& row : found) fields_[row.id] = std::move(row);
    return absl::OkStatus();
  }

  absl::Status JudgeRow(const store::JmapScanRow& row) {
    row_ = &row;
    row_fields_ = &fields_[row.id];
    header_.reset();
    status_ = absl::OkStatus();
    const bool passes =
        !query_.filter ||
        jmap::Evaluate(*query_.filter, [this](const jmap::FilterCondition& c) { return Holds(c); });
    GODWIT_RETURN_IF_ERROR(status_);
    if (!passes) return absl::OkStatus();
    // §4.4.3: the first of each thread stands for it.
    if (query_.collapse && !progress_->threads.insert(row_fields_->thread).second) {
      return absl::OkStatus();
    }
    if (query_.anchor && *query_.anchor == IdOf(row.id)) {
      progress_->anchor_at = progress_->passed.size();
    }
    progress_->passed.push_back(Keep(row));
    return absl::OkStatus();
  }

  static std::string IdOf(store::EmailId id) {
    return jmap::FormatId(jmap::IdType::kEmail, store::ToInt(id));
  }

  Passed Keep(const store::JmapScanRow& row) const {
    Passed passed;
    passed.id = row.id;
    passed.thread = row_fields_->thread;
    passed.received = row.received;
    passed.size = row.size;
    if (query_.streaming) return passed;
    for (size_t i = 0; i < query_.sort.size(); ++i) KeepFor(query_.sort[i], i, &passed);
    return passed;
  }

  void KeepFor(const jmap::Comparator& by, size_t place, Passed* passed) const {
    using Property = jmap::Comparator::Property;
    const store::JmapSearchRow& row = *row_fields_;
    switch (by.property) {
      case Property::kFrom: passed->from = base::Lower(row.from.substr(0, 100)); return;
      case Property::kTo: passed->to = base::Lower(row.to.substr(0, 100)); return;
      case Property::kSubject:
        passed->subject = base::Lower(row.subject_base.substr(0, 200));
        return;
      case Property::kSentAt: passed->sent = row.sent.value_or(row_->received); return;
      case Property::kHasKeyword:
        if (HasKeyword(by.keyword)) passed->keywords |= 1u << place;
        return;
      default: return;
    }
  }

  bool Holds(const jmap::FilterCondition& c) {
    return status_.ok() && HoldsStructure(c) && HoldsFields(c) && HoldsContent(c);
  }

  bool InMailbox(int64_t id) const {
    const auto& boxes = row_->mailboxes;
    return std::find(boxes.begin(), boxes.end(), store::MailboxId{id}) != boxes.end();
  }

  bool HasKeyword(const std::string& keyword) const {
    const auto names = KeywordNames(row_->flags, progress_->names);
    return std::find(names.begin(), names.end(), keyword) != names.end();
  }

  bool HoldsStructure(const jmap::FilterCondition& c) const {
    if (c.in_mailbox && !InMailbox(*c.in_mailbox)) return false;
    if (c.has_other_than) {
      const auto& others = c.in_mailbox_other_than;
      const bool elsewhere =
          std::any_of(row_->mailboxes.begin(), row_->mailboxes.end(), [&](store::MailboxId id) {
            return !std::binary_search(others.begin(), others.end(), store::ToInt(id));
          });
      if (!elsewhere) return false;
    }
    if (c.before && row_->received >= *c.before) return false;
    if (c.after && row_->received < *c.after) return false;
    if (c.min_size && row_->size < static_cast<int64_t>(*c.min_size)) return false;
    if (c.max_size && row_->size >= static_cast<int64_t>(*c.max_size)) return false;
    if (c.has_keyword && !HasKeyword(*c.has_keyword)) return false;
    return !c.not_keyword || !HasKeyword(*c.not_keyword);
  }

  const std::string& Folded(const std::string& needle) {
    auto [it, fresh] = progress_->folded.try_emplace(needle);
    if (fresh) it->second = imap::Fold(needle);
    return it->second;
  }

  bool Contains(const std::string& text, const std::optional<std::string>& needle) {
    return !needle || imap::ContainsFolded(text, Folded(*needle));
  }

  bool HoldsFields(const jmap::FilterCondition& c) {
    const store::JmapSearchRow& row = *row_fields_;
    if (c.has_attachment && *c.has_attachment != row.has_attachment) return false;
    return Contains(row.from, c.from) && Contains(row.to, c.to) && Contains(row.cc, c.cc) &&
           Contains(row.bcc, c.bcc) && Contains(row.subject, c.subject);
  }

  bool HoldsContent(const jmap::FilterCondition& c) {
    if (c.header_name && !HoldsHeader(*c.header_name, c.header_value)) return false;
    if (c.body && !BodyContains(*c.body)) return false;
    if (!c.text) return true;
    const store::JmapSearchRow& row = *row_fields_;
    for (const std::string* field : {&row.subject, &row.from, &row.to, &row.cc, &row.bcc}) {
      if (Contains(*field, c.text)) return true;
    }
    return BodyContains(*c.text);
  }

  bool HoldsHeader(const std::string& name, const std::optional<std::string>& value) {
    // Read once for all conditions of the filter.
    if (!header_) {
      auto headers = store::ReadHeaders(c_, account_, std::span(&row_fields_->blob.blob, 1));
      if (!headers.ok()) return Fail(headers.status());
      header_ = std::move(headers->front());
      if (!Spend(header_->size())) return false;
    }
    const mime::HeaderBlock block = mime::SplitHeader(*header_);
    for (const mime::HeaderField* field : block.FindAll(name)) {
      if (Contains(mime::DecodeWords(mime::Unfold(field->value)), value)) return true;
    }
    return false;
  }

  bool Fail(const absl::Status& status) {
    status_ = status;
    return false;
  }

  bool BodyContains(const std::string& needle) {
    auto summary = mime::Decode(row_fields_->summary);
    // An email that was destroyed meanwhile has none.
    if (!summary.ok()) return false;
    imap::TextScan scan({Folded(needle)});
    return ScanPart(summary->root, &scan);
  }

  // Text parts, those of attached messages too.
  bool ScanPart(const mime::Part& part, imap::TextScan* scan) {
    for (const mime::Part& child : part.children) {
      if (ScanPart(child, scan)) return true;
    }
    if (part.kind != mime::Part::Kind::kLeaf || part.type != "text") return false;
    mime::TextDecoder decoder(part);
    const auto size = static_cast<int64_t>(part.body_size);
    const store::BlobRef& blob = row_fields_->blob;
    std::string text;
    for (int64_t read = 0; read < size && !scan->Found(0);) {
      const auto length = static_cast<size_t>(std::min<int64_t>(size - read, store::kMaxBlobRead));
      const int64_t at = blob.header_size + static_cast<int64_t>(part.body_offset) + read;
      auto octets = store::ReadBlob(c_, account_, blob, at, length);
      if (absl::IsNotFound(octets.status())) return false;
      if (!octets.ok()) return Fail(octets.status());
      if (octets->empty() || !Spend(octets->size())) return false;
      read += static_cast<int64_t>(octets->size());
      text.clear();
      decoder.Feed(*octets, &text);
      scan->Feed(text);
    }
    text.clear();
    decoder.Finish(&text);
    scan->Feed(text);
    scan->Break();
    return scan->Found(0);
  }

  bool Spend(size_t octets) {
    progress_->search_left -= static_cast<int64_t>(octets);
    if (progress_->search_left >= 0) return true;
    progress_->error = jmap::MethodError{"unsupportedFilter", "too much text: name a mailbox"};
    return false;
  }

  db::Connection& c_;
  const store::AccountId account_;
  const Query& query_;
  Progress* progress_;
  std::map<store::EmailId, store::JmapSearchRow> fields_;
  const store::JmapScanRow* row_ = nullptr;
  const store::JmapSearchRow* row_fields_ = nullptr;
  std::optional<std::string> header_;  // of the row
  absl::Status status_;
};

bool NewestFirst(const std::vector<jmap::Comparator>& sort) {
  return sort.empty() || (sort.size() == 1 && !sort[0].ascending &&
                          sort[0].property == jmap::Comparator::Property::kReceivedAt);
}

template <typename T>
int Compare(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

int CompareBy(const jmap::Comparator& by, size_t place, const Passed& a, const Passed& b) {
  using Property = jmap::Comparator::Property;
  switch (by.property) {
    case Property::kReceivedAt: return Compare(a.received, b.received);
    case Property::kSize: return Compare(a.size, b.size);
    case Property::kFrom: return Compare(a.from, b.from);
    case Property::kTo: return Compare(a.to, b.to);
    case Property::kSubject: return Compare(a.subject, b.subject);
    case Property::kSentAt: return Compare(a.sent, b.sent);
    case Property::kHasKeyword: break;
  }
  return Compare(a.keywords >> place & 1, b.keywords >> place & 1);
}

void Sort(const Query& query, std::vector<Passed>* passed) {
  std::stable_sort(passed->begin(), passed->end(), [&](const Passed& a, const Passed& b) {
    for (size_t i = 0; i < query.sort.size(); ++i) {
      const int difference = CompareBy(query.sort[i], i, a, b);
      if (difference != 0) return query.sort[i].ascending ? difference < 0 : difference > 0;
    }
    return false;
  });
}

// RFC 8621 §4.4.3, after sorting: the first of each thread.
void Collapse(std::vector<Passed>* passed) {
  std::set<store::ThreadId> seen;
  std::erase_if(*passed, [&](const Passed& email) { return !seen.insert(email.thread).second; });
}

void Plan(const jmap::QueryArguments& arguments, const CallContext& context, Query* query,
          Progress* progress) {
  if (query->filter) {
    query->needs_fields = jmap::AnyCondition(
        *query->filter, [](const jmap::FilterCondition& c) { return c.needs_fields(); });
    query->needs_content = jmap::AnyCondition(
        *query->filter, [](const jmap::FilterCondition& c) { return c.needs_content(); });
    if (const auto mailbox = jmap::RequiredMailbox(*query->filter)) {
      progress->scan.mailbox = store::MailboxId{*mailbox};
    }
  }
  const bool newest_first = NewestFirst(query->sort);
  query->needs_fields = query->needs_fields || !newest_first;
  query->needs_threads = query->collapse;
  query->streaming = newest_first && !arguments.calculate_total && arguments.position >= 0 &&
                     arguments.anchor_offset >= 0;
  const uint64_t limit =
      std::min<uint64_t>(arguments.limit.value_or(UINT64_MAX), context.limits().max_objects_in_get);
  query->enough = static_cast<size_t>(arguments.position) + limit;
  query->anchor = arguments.anchor;
  query->behind_anchor = static_cast<size_t>(arguments.anchor_offset) + limit;
  const bool text = query->needs_fields || query->needs_content;
  progress->scan.limit = text ? kTextPage : kScanPage;
  if (query->streaming && !text && !query->filter && !query->anchor) {
    progress->scan.limit = static_cast<int>(std::min<size_t>(kScanPage, query->enough + 1));
  }
}

}  // namespace

base::Task<jmap::Result> EmailQuery(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  const jmap::QueryArguments wanted = jmap::TakeQuery(&reader);
  Query query;
  query.collapse = reader.Bool("collapseThreads").value_or(false);
  if (auto error = reader.Finish()) co_return *error;
  if (wanted.filter != nullptr && !wanted.filter->empty()) {
    auto filter = jmap::ParseFilter(*wanted.filter);
    if (auto* error = std::get_if<jmap::MethodError>(&filter)) co_return *error;
    query.filter = std::get<jmap::Filter>(std::move(filter));
  }
  if (wanted.sort != nullptr) {
    auto sort = jmap::ParseSort(*wanted.sort);
    if (auto* error = std::get_if<jmap::MethodError>(&sort)) co_return *error;
    query.sort = std::get<std::vector<jmap::Comparator>>(std::move(sort));
  }
  Progress progress;
  Plan(wanted, *context, &query, &progress);
  progress.search_left = context->search_left;
  // When it has to be sorted, the first of a thread is known only then.
  const bool collapse_later = query.collapse && !NewestFirst(query.sort);
  if (collapse_later) query.collapse = false;
  const store::AccountId account = context->account();
  bool first = true;
  while (!progress.done && !progress.error) {
    if (auto error = TooLate(*context)) co_return *error;
    absl::Status page = co_await context->env->database->Run(
        [account, first, &query, &progress](db::Connection& c) -> absl::Status {
          if (first) {
            // The state before what is read: a change in between is told again, not lost.
            GODWIT_ASSIGN_OR_RETURN(auto states, store::GetJmapStates(c, account));
            progress.state = states.email;
            GODWIT_ASSIGN_OR_RETURN(auto keywords, store::ListKeywords(c, account));
            for (const store::Keyword& each : keywords) progress.names[each.id] = each.name;
          }
          return PageJudge(c, account, query, &progress).Run();
        });
    if (!page.ok()) co_return ServerError(*context, page);
    first = false;
    context->search_left = progress.search_left;
  }
  if (progress.error) co_return *progress.error;
  if (!NewestFirst(query.sort)) {
    // Not on the reactor, where it would hold up all of its connections.
    absl::Status sorted = co_await context->env->database->Run([&](db::Connection& /*c*/) {
      Sort(query, &progress.passed);
      return absl::OkStatus();
    });
    if (!sorted.ok()) co_return ServerError(*context, sorted);
  }
  if (collapse_later) Collapse(&progress.passed);
  std::vector<std::string> ids;
  for (const Passed& email : progress.passed) {
    ids.push_back(jmap::FormatId(jmap::IdType::kEmail, store::ToInt(email.id)));
  }
  co_return FinishQuery(*context, wanted, ids, jmap::FormatState(progress.state));
}

}  // namespace godwit::webmail_api
