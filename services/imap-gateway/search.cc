// SEARCH and UID SEARCH (RFC 9051 §6.4.4).
//
// What the mailbox entries tell is asked of the database (flags, keywords); of what is left entries
// come in pages; only messages that stay undecided have their header read, and their body looked
// through (search_scan.h).

#include <algorithm>
#include <array>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/imap/search_eval.h"
#include "libs/imap/text_match.h"
#include "services/imap-gateway/search_scan.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {

using Kind = imap::SearchKey::Kind;

struct SearchRun {
  imap::SearchKey key;  // bound and folded
  std::vector<std::string> needles;
  absl::Time now;
  store::FetchColumns columns;
  bool needs_keywords = false;
  imap::UidSet found;
  store::Modseq modseq = 0;  // the highest of what was found
};

namespace {

constexpr uint64_t kPlainPage = 1000;
constexpr uint64_t kJoinedPage = 200;
// HEADER, BODY and TEXT keys in one program: each is a look through every message.
constexpr size_t kMaxTextKeys = 50;
// Messages in one scan.
constexpr size_t kScanBatch = 32;
// Stored fields may be cut at 8 KB (libs/ingest); one below this is all of it.
constexpr size_t kCompleteField = 8000;

class EntryView : public imap::MessageView {
 public:
  EntryView(const store::Entry* entry, const Selected* selected)
      : entry_(entry), selected_(selected) {}

  void SetScanned(const Scanned* scanned, const std::vector<std::string>* needles) {
    scanned_ = scanned;
    needles_ = needles;
  }

  uint32_t uid() const override { return entry_->uid; }
  uint32_t system_flags() const override { return entry_->flags.mask; }
  absl::Time internal_date() const override { return entry_->received; }
  uint64_t size() const override { return static_cast<uint64_t>(entry_->size); }
  uint64_t modseq() const override { return static_cast<uint64_t>(entry_->modseq); }
  std::string email_id() const override {
    return "M" + std::to_string(store::ToInt(entry_->email));
  }
  std::string thread_id() const override {
    return "T" + std::to_string(store::ToInt(entry_->thread));
  }

  bool HasKeyword(std::string_view keyword) const override {
    if (!keywords_) selected_->NameKeywords(entry_->flags, &keywords_.emplace());
    return std::any_of(keywords_->begin(), keywords_->end(), [keyword](const std::string& name) {
      return base::EqualsIgnoreCase(name, keyword);
    });
  }

  std::optional<std::optional<absl::CivilDay>> sent_day() const override {
    if (scanned_ == nullptr) return std::nullopt;
    if (!scanned_->sent) return std::optional<absl::CivilDay>();
    // RFC 9051 §6.4.4: the day as it was written, whatever the zone.
    const absl::Time local = scanned_->sent->time + absl::Minutes(scanned_->sent->offset_minutes);
    return std::optional<absl::CivilDay>(absl::ToCivilDay(local, absl::UTCTimeZone()));
  }

  std::optional<bool> HeaderContains(std::string_view name,
                                     std::string_view folded) const override {
    if (scanned_ != nullptr) return InHeader(name, folded);
    for (size_t i = 0; i < kStoredFields.size(); ++i) {
      if (!base::EqualsIgnoreCase(name, kStoredFields[i].name)) continue;
      const std::string& field = entry_->*kStoredFields[i].value;
      if (field.empty() || field.size() >= kCompleteField) return std::nullopt;
      if (!folded_[i]) folded_[i] = imap::Fold(field);
      return imap::FindFolded(*folded_[i], folded);
    }
    return std::nullopt;
  }

  std::optional<bool> BodyContains(std::string_view folded) const override {
    if (scanned_ == nullptr) return std::nullopt;
    const auto at = std::lower_bound(needles_->begin(), needles_->end(), folded);
    return scanned_->found[static_cast<size_t>(at - needles_->begin())];
  }

  std::optional<bool> TextContains(std::string_view folded) const override {
    if (scanned_ == nullptr) return std::nullopt;
    return *BodyContains(folded) || imap::FindFolded(scanned_->folded_header, folded);
  }

 private:
  struct StoredField {
    std::string_view name;
    std::string store::Entry::*value;
  };
  static constexpr std::array<StoredField, 5> kStoredFields = {{
      {"From", &store::Entry::from},
      {"To", &store::Entry::to},
      {"Cc", &store::Entry::cc},
      {"Bcc", &store::Entry::bcc},
      {"Subject", &store::Entry::subject},
  }};

  bool InHeader(std::string_view name, std::string_view folded) const {
    const auto& fields = scanned_->fields;
    return std::any_of(fields.begin(), fields.end(), [&](const Scanned::Field& field) {
      return base::EqualsIgnoreCase(field.name, name) && imap::FindFolded(field.text, folded);
    });
  }

  const store::Entry* entry_;
  const Selected* selected_;
  const Scanned* scanned_ = nullptr;
  const std::vector<std::string>* needles_ = nullptr;
  // A program may ask for the same a hundred times: made once.
  mutable std::array<std::optional<std::string>, kStoredFields.size()> folded_;
  mutable std::optional<std::vector<std::string>> keywords_;
};

// What the program can be true for at most.
imap::UidSet Candidates(const imap::SearchKey& key, const imap::UidSet& all) {
  if (key.kind == Kind::kUid) return all.Intersect(key.uids);
  imap::UidSet left = all;
  if (key.kind == Kind::kAnd) {
    for (const imap::SearchKey& child : key.children) left = Candidates(child, left);
  }
  return left;
}

// Takes what a database filter can say from the conjunction `key`. False: there is more to it.
bool AddToFilter(const imap::SearchKey& key, store::EntryFilter* filter) {
  switch (key.kind) {
    case Kind::kAll:
    case Kind::kUid: return true;  // Candidates() did it
    case Kind::kFlag: filter->have |= static_cast<store::FlagMask>(key.number); return true;
    case Kind::kNot:
      if (key.children.front().kind != Kind::kFlag) return false;
      filter->lack |= static_cast<store::FlagMask>(key.children.front().number);
      return true;
    case Kind::kAnd: {
      bool all = true;
      for (const imap::SearchKey& child : key.children) all &= AddToFilter(child, filter);
      return all;
    }
    default: return false;
  }
}

// What pages bring; what they leave undecided is read again with everything.
store::FetchColumns ColumnsFor(const imap::SearchKey& key) {
  store::FetchColumns columns;
  columns.summary = imap::UsesKey(key, Kind::kThreadId);
  columns.search = imap::UsesKey(key, Kind::kHeader);
  return columns;
}

}  // namespace

base::Task<Reply> Session::Search(imap::SearchArguments search, std::string tag) {
  imap::SearchProgram& program = search.program;
  const bool saves = program.returns && program.returns->save;
  // RFC 5182 §2.1: a search that fails saves nothing.
  const imap::UidSet saved = selected_->saved.get();
  if (saves) selected_->saved.get().clear();
  if (!imap::IsSearchCharset(program.charset)) {
    co_return Reply::No(imap::code::kBadCharset, "Unknown charset");
  }
  if (imap::CountTextKeys(program.key) > kMaxTextKeys) {
    co_return Reply::No(imap::code::kLimit, "Too many texts to look for");
  }
  // RFC 9051 §6.4.4: IMAP4rev2 has no SEARCH response any more.
  if (rev2_ && !program.returns) program.returns = imap::SearchReturn{.all = true};
  SearchRun run;
  run.key = std::move(program.key);
  if (!imap::BindSearch(&run.key, selected_->uids.get(), saved)) {
    co_return Reply::Bad("No such message");
  }
  imap::FoldSearch(&run.key);
  run.needles = imap::BodyNeedles(run.key);
  run.now = env_->clock->Now();
  run.columns = ColumnsFor(run.key);
  run.needs_keywords = imap::UsesKey(run.key, Kind::kKeyword);
  const bool modseqs = imap::UsesKey(run.key, Kind::kModSeq);
  condstore_ |= modseqs;

  store::UidRanges left = ToRanges(Candidates(run.key, selected_->uids.get()));
  store::EntryFilter filter;
  const bool by_filter = AddToFilter(run.key, &filter) && !modseqs;
  if (!left.empty() && (filter.have != 0 || filter.lack != 0)) {
    auto filtered = co_await env_->database->Run(
        [account = account_->id, mailbox = selected_->mailbox, left, filter](db::Connection& c) {
          return store::FilterEntries(c, account, mailbox, left, filter);
        });
    if (!filtered.ok()) co_return Failed(filtered.status(), "SEARCH");
    left = *std::move(filtered);
  }
  if (by_filter) run.found = ToUidSet(std::exchange(left, {}));
  while (!left.empty() && !closing_) {
    store::UidRanges page = store::TakeFront(&left, run.columns.summary ? kJoinedPage : kPlainPage);
    absl::Status status = co_await SearchPage(&run, std::move(page));
    if (!status.ok()) co_return Failed(status, "SEARCH");
  }
  if (saves) selected_->saved.get() = imap::SavedResult(*program.returns, run.found);
  const imap::UidSet told = search.uid ? run.found : selected_->uids.get().RankAll(run.found);
  imap::AppendSearchResult(&out_, program, tag, search.uid, told,
                           modseqs ? static_cast<uint64_t>(run.modseq) : 0);
  co_return Reply::Ok("Search completed");
}

base::Task<absl::Status> Session::SearchPage(SearchRun* run, store::UidRanges page) {
  auto fetched = co_await env_->database->Run([account = account_->id, mailbox = selected_->mailbox,
                                               page, columns = run->columns](db::Connection& c) {
    return store::FetchEntries(c, account, mailbox, page, columns, static_cast<int>(kPlainPage));
  });
  if (!fetched.ok()) co_return fetched.status();
  if (run->needs_keywords) {
    absl::Status learnt = co_await LearnKeywords(&fetched->entries);
    if (!learnt.ok()) co_return learnt;
  }
  std::vector<store::Uid> undecided;
  absl::Duration began = env_->clock->Monotonic();
  for (const store::Entry& entry : fetched->entries) {
    co_await Breathe(&began);
    EntryView view(&entry, selected_.get());
    const imap::Verdict verdict = imap::Evaluate(run->key, view, run->now);
    if (verdict == imap::Verdict::kYes) Found(run, entry);
    if (verdict == imap::Verdict::kUnknown) undecided.push_back(entry.uid);
  }
  store::UidRanges left = store::FromUids(std::move(undecided));
  while (!left.empty() && !closing_) {
    store::UidRanges batch = store::TakeFront(&left, kScanBatch);
    absl::StatusOr<store::Uid> last = co_await SearchContent(run, batch);
    if (!last.ok()) co_return last.status();
    std::erase_if(batch, [&](const store::UidRange& range) { return range.last <= *last; });
    if (batch.empty()) continue;
    batch.front().first = std::max(batch.front().first, *last + 1);
    left.insert(left.begin(), batch.begin(), batch.end());
  }
  co_return absl::OkStatus();
}

// Up to which UID it came.
base::Task<absl::StatusOr<store::Uid>> Session::SearchContent(SearchRun* run,
                                                              store::UidRanges uids) {
  absl::StatusOr<ScanResult> scanned = co_await env_->database->Run(
      [account = account_->id, mailbox = selected_->mailbox, uids, needles = run->needles](
          db::Connection& c) { return ScanMessages(c, account, mailbox, uids, needles); });
  if (!scanned.ok()) co_return scanned.status();
  absl::Duration began = env_->clock->Monotonic();
  for (const Scanned& message : scanned->messages) {
    co_await Breathe(&began);
    EntryView view(&message.entry, selected_.get());
    view.SetScanned(&message, &run->needles);
    if (imap::Evaluate(run->key, view, run->now) == imap::Verdict::kYes) {
      Found(run, message.entry);
    }
  }
  co_return scanned->last;
}

void Session::Found(SearchRun* run, const store::Entry& entry) {
  run->found.Add(entry.uid);
  run->modseq = std::max(run->modseq, entry.modseq);
}

}  // namespace godwit::imap_gateway
