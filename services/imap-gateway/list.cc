// LIST with RFC 5258, RFC 5819 and RFC 6154, and LSUB (RFC 3501 §6.3.9).

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "libs/base/status.h"
#include "libs/imap/list_match.h"
#include "services/imap-gateway/session.h"

namespace godwit::imap_gateway {
namespace {

// Patterns of one LIST (RFC 5258 §3 has no bound); clients send one or two.
constexpr size_t kMaxPatterns = 10;

// A name that may be listed: a mailbox, or a subscription without one.
struct Listed {
  const store::Mailbox* mailbox = nullptr;
  bool subscribed = false;
  bool has_children = false;
  bool has_subscribed_children = false;
};
struct InboxFirst {
  bool operator()(const std::string& a, const std::string& b) const {
    const bool a_later = a != imap::kInbox;
    const bool b_later = b != imap::kInbox;
    return a_later != b_later ? b_later : a < b;
  }
};
using Names = std::map<std::string, Listed, InboxFirst>;

std::string_view SpecialUse(store::Role role) {
  switch (role) {
    case store::Role::kDrafts: return "\\Drafts";
    case store::Role::kSent: return "\\Sent";
    case store::Role::kArchive: return "\\Archive";
    case store::Role::kJunk: return "\\Junk";
    case store::Role::kTrash: return "\\Trash";
    case store::Role::kNone:
    case store::Role::kInbox: return "";
  }
  return "";
}

Names MakeNames(const store::MailboxList& list) {
  Names names;
  for (const store::Mailbox& mailbox : list.mailboxes) names[mailbox.path].mailbox = &mailbox;
  for (const std::string& path : list.subscriptions) names[path].subscribed = true;
  for (const auto& [path, listed] : names) {
    for (std::string_view above = imap::ParentMailboxName(path); !above.empty();
         above = imap::ParentMailboxName(above)) {
      const auto parent = names.find(std::string(above));
      if (parent == names.end()) continue;
      parent->second.has_children |= listed.mailbox != nullptr;
      parent->second.has_subscribed_children |= listed.subscribed;
    }
  }
  return names;
}

bool MatchesAny(const std::vector<imap::ListPattern>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [name](const imap::ListPattern& pattern) { return pattern.Matches(name); });
}

bool IsSelected(const imap::ListArguments& list, const Listed& listed) {
  if (list.select_subscribed && !listed.subscribed) return false;
  const bool special = listed.mailbox != nullptr && !SpecialUse(listed.mailbox->role).empty();
  if (list.select_special_use && !special) return false;
  return listed.mailbox != nullptr || list.select_subscribed;
}

std::string Attributes(const imap::ListArguments& list, const Listed& listed) {
  std::string text;
  const auto add = [&text](std::string_view attribute) {
    if (attribute.empty()) return;
    if (!text.empty()) text += ' ';
    text += attribute;
  };
  if (listed.mailbox == nullptr) add("\\NonExistent");
  // RFC 5258 §4: both or none; they cost nothing here.
  add(listed.has_children ? "\\HasChildren" : "\\HasNoChildren");
  if (listed.subscribed && (list.select_subscribed || list.return_subscribed)) add("\\Subscribed");
  if (listed.mailbox != nullptr) add(SpecialUse(listed.mailbox->role));
  return text;
}

}  // namespace

base::Task<Reply> Session::List(imap::ListArguments list) {
  if (list.patterns.size() > kMaxPatterns) {
    co_return Reply::No(imap::code::kLimit, "Too many patterns");
  }
  std::vector<imap::ListPattern> patterns;
  auto reference = MailboxName(list.reference);
  for (const std::string& wire : list.patterns) {
    auto pattern = MailboxName(wire);
    if (!pattern.ok() || !reference.ok()) co_return Reply::Ok("List completed");
    patterns.emplace_back(imap::JoinListPattern(*reference, *pattern));
  }
  if (!list.extended && list.patterns.front().empty()) {
    // RFC 9051 §6.3.9: asks for the separator only.
    out_ += "* LIST (\\Noselect) \"/\" \"\"\r\n";
    co_return Reply::Ok("List completed");
  }
  absl::StatusOr<store::MailboxList> found = co_await env_->database->Run(
      [account = account_->id](db::Connection& c) { return store::ListMailboxes(c, account); });
  if (!found.ok()) co_return Failed(found.status(), "LIST");
  absl::Duration began = env_->clock->Monotonic();
  for (const auto& [path, listed] : MakeNames(*found)) {
    co_await Breathe(&began);
    if (!MatchesAny(patterns, path)) continue;
    const bool selected = IsSelected(list, listed);
    // RFC 5258 §3.5: a name that is not selected itself, but has something below that is and may
    // not match the pattern.
    const bool recursive =
        list.recursive_match && listed.has_subscribed_children && listed.mailbox != nullptr;
    if (!selected && !recursive) continue;
    out_ += "* LIST (" + Attributes(list, listed) + ") \"/\" ";
    imap::AppendAstring(&out_, imap::EncodeMailboxName(path, name_encoding()), text_mode());
    if (recursive) out_ += " (\"CHILDINFO\" (\"SUBSCRIBED\"))";
    out_ += "\r\n";
    if (!list.return_status.empty() && listed.mailbox != nullptr) {
      out_ += StatusLine(*listed.mailbox, list.return_status);
    }
    co_await FlushIfLong();
  }
  co_return Reply::Ok("List completed");
}

base::Task<Reply> Session::Lsub(imap::ListArguments list) {
  auto reference = MailboxName(list.reference);
  auto wanted = MailboxName(list.patterns.front());
  if (!reference.ok() || !wanted.ok()) co_return Reply::Ok("Lsub completed");
  const std::string pattern = imap::JoinListPattern(*reference, *wanted);
  absl::StatusOr<store::MailboxList> found = co_await env_->database->Run(
      [account = account_->id](db::Connection& c) { return store::ListMailboxes(c, account); });
  if (!found.ok()) co_return Failed(found.status(), "LSUB");
  // RFC 3501 §6.3.9: where "%" stops above a subscribed name, that level is told as \Noselect.
  std::map<std::string, bool> names;  // and whether it is subscribed itself
  const imap::ListPattern compiled(pattern);
  absl::Duration began = env_->clock->Monotonic();
  for (const std::string& path : found->subscriptions) {
    co_await Breathe(&began);
    if (compiled.Matches(path)) names[path] = true;
    for (std::string_view above = imap::ParentMailboxName(path); !above.empty();
         above = imap::ParentMailboxName(above)) {
      if (pattern.ends_with('%') && compiled.Matches(above)) {
        names.try_emplace(std::string(above), false);
      }
    }
  }
  for (const auto& [path, subscribed] : names) {
    out_ += subscribed ? "* LSUB () \"/\" " : "* LSUB (\\Noselect) \"/\" ";
    imap::AppendAstring(&out_, imap::EncodeMailboxName(path, name_encoding()), text_mode());
    out_ += "\r\n";
    co_await FlushIfLong();
  }
  co_return Reply::Ok("Lsub completed");
}

}  // namespace godwit::imap_gateway
