// Email/get (RFC 8621 §4.2).

#include <algorithm>
#include <map>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/jmap/email.h"
#include "libs/jmap/id.h"
#include "libs/mime/record.h"
#include "libs/store/blob.h"
#include "libs/store/jmap_email.h"
#include "services/webmail-api/calls.h"
#include "services/webmail-api/keywords.h"

namespace godwit::webmail_api {
namespace {

namespace json = jmap::json;

// Emails in one job of the database, so that others have their turn between two; with texts a job
// reads some megabytes.
constexpr size_t kPage = 50;
constexpr size_t kTextPage = 5;
// Of one body value, as it is stored; a longer one is cut and says so.
constexpr size_t kMaxValue = 1024 * 1024;
// Of all body values of one call together.
constexpr size_t kMaxValues = 16 * 1024 * 1024;
// Of header blocks in one page.
constexpr int64_t kMaxHeaders = 8 * 1024 * 1024;

// What a call carries from page to page.
struct Progress {
  std::map<store::EmailId, json::object> found;
  size_t values_left = kMaxValues;
  store::Modseq state = 1;
};

// The octets of the body that part headers are read from: up to the last header.
struct PartHeaders {
  std::string body;
  static std::string Of(const void* context, const mime::Part& part) {
    const auto* self = static_cast<const PartHeaders*>(context);
    if (part.header_offset >= self->body.size()) return "";
    return self->body.substr(part.header_offset, part.header_size);
  }
};

uint64_t LastHeader(const mime::Part& part) {
  uint64_t end = 0;
  for (const mime::Part& child : part.children) {
    end = std::max({end, child.header_offset + child.header_size, LastHeader(child)});
  }
  return end;
}

class Page {
 public:
  Page(db::Connection& c, store::AccountId account, const jmap::EmailGet& get, Progress* progress)
      : c_(c), account_(account), get_(get), progress_(progress) {}

  absl::Status Read(std::span<const store::EmailId> ids) {
    const bool summaries =
        get_.needs_summary() || get_.fetches_values() || get_.needs_part_headers();
    GODWIT_ASSIGN_OR_RETURN(auto emails, store::GetJmapEmails(c_, account_, ids, summaries));
    progress_->state = emails.state;
    std::map<store::KeywordId, std::string> names;
    for (const store::Keyword& keyword : emails.keywords) names[keyword.id] = keyword.name;
    GODWIT_ASSIGN_OR_RETURN(auto headers, ReadHeaders(emails.emails));
    for (size_t i = 0; i < emails.emails.size(); ++i) {
      GODWIT_RETURN_IF_ERROR(AddEmail(emails.emails[i], names, headers.empty() ? "" : headers[i]));
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::vector<std::string>> ReadHeaders(
      const std::vector<store::JmapEmail>& emails) {
    std::vector<std::string> headers;
    if (!get_.needs_header()) return headers;
    int64_t size = 0;
    std::vector<store::BlobId> blobs;
    for (const store::JmapEmail& email : emails) {
      size += email.blob.header_size;
      blobs.push_back(email.blob.blob);
    }
    if (size <= kMaxHeaders) return store::ReadHeaders(c_, account_, blobs);
    // Monsters among them: one by one, each cut.
    for (const store::JmapEmail& email : emails) {
      const auto length = static_cast<size_t>(std::min<int64_t>(email.blob.header_size, 256 << 10));
      GODWIT_ASSIGN_OR_RETURN(auto header, store::ReadBlob(c_, account_, email.blob, 0, length));
      headers.push_back(std::move(header));
    }
    return headers;
  }

  absl::Status AddEmail(const store::JmapEmail& email,
                        const std::map<store::KeywordId, std::string>& names,
                        std::string_view header) {
    jmap::EmailSource source;
    source.id = store::ToInt(email.id);
    source.thread = store::ToInt(email.thread);
    for (const store::MailboxId id : email.mailboxes())
      source.mailboxes.push_back(store::ToInt(id));
    source.keywords = KeywordNames({email.flags(), email.keywords()}, names);
    source.size = email.blob.size;
    source.received = email.received;
    source.has_attachment = email.has_attachment;
    source.preview = email.preview;
    source.header = header;
    std::optional<mime::Summary> summary;
    PartHeaders part_headers;
    if (!email.summary.empty()) {
      GODWIT_ASSIGN_OR_RETURN(summary, mime::Decode(email.summary));
      source.summary = &*summary;
      GODWIT_RETURN_IF_ERROR(ReadValues(email, *summary, &source));
      GODWIT_RETURN_IF_ERROR(ReadPartHeaders(email, *summary, &part_headers));
      source.part_header = PartHeaders::Of;
      source.part_context = &part_headers;
    }
    progress_->found[email.id] = jmap::EmailToJson(source, get_);
    return absl::OkStatus();
  }

  absl::Status ReadPartHeaders(const store::JmapEmail& email, const mime::Summary& summary,
                               PartHeaders* headers) {
    if (!get_.needs_part_headers()) return absl::OkStatus();
    const auto end = std::min<uint64_t>(LastHeader(summary.root), kMaxValue);
    return ReadRange(email, 0, end, &headers->body);
  }

  // Octets of the body; a read of the store is bounded, so again until there are enough.
  absl::Status ReadRange(const store::JmapEmail& email, uint64_t offset, uint64_t size,
                         std::string* out) {
    while (out->size() < size) {
      const int64_t at =
          email.blob.header_size + static_cast<int64_t>(offset) + static_cast<int64_t>(out->size());
      GODWIT_ASSIGN_OR_RETURN(auto octets,
                              store::ReadBlob(c_, account_, email.blob, at, size - out->size()));
      if (octets.empty()) break;
      *out += octets;
    }
    return absl::OkStatus();
  }

  absl::Status ReadValues(const store::JmapEmail& email, const mime::Summary& summary,
                          jmap::EmailSource* source) {
    if (!get_.fetches_values()) return absl::OkStatus();
    const jmap::BodyPart tree = jmap::MakeBodyTree(summary.root);
    for (const jmap::BodyPart* part : jmap::ValuesWanted(tree, get_)) {
      const uint64_t size = part->part->body_size;
      const uint64_t read = std::min<uint64_t>({size, kMaxValue, progress_->values_left});
      progress_->values_left -= read;
      std::string octets;
      GODWIT_RETURN_IF_ERROR(ReadRange(email, part->part->body_offset, read, &octets));
      source->body_values[part->id] =
          jmap::BodyValueToJson(*part->part, octets, read < size, get_.max_body_value_bytes);
    }
    return absl::OkStatus();
  }

  db::Connection& c_;
  const store::AccountId account_;
  const jmap::EmailGet& get_;
  Progress* progress_;
};

std::vector<store::EmailId> NumbersOf(const std::vector<std::string>& ids) {
  std::vector<store::EmailId> numbers;
  for (const std::string& id : ids) {
    if (const auto number = jmap::ParseId(jmap::IdType::kEmail, id)) {
      numbers.push_back(store::EmailId{*number});
    }
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

}  // namespace

base::Task<jmap::Result> EmailGet(CallContext* context, json::object arguments) {
  jmap::Arguments reader(arguments);
  if (auto error = TakeAccount(*context, &reader)) co_return *error;
  jmap::GetArguments standard = jmap::TakeGet(&reader);
  auto taken = jmap::TakeEmailGet(standard.properties, &reader);
  if (auto error = reader.Finish()) co_return *error;
  if (auto* error = std::get_if<jmap::MethodError>(&taken)) co_return *error;
  const auto& get = std::get<jmap::EmailGet>(taken);
  if (!standard.ids) co_return jmap::MethodError{"requestTooLarge", "ids"};
  if (auto error = jmap::TooMany(standard.ids->size(), context->limits().max_objects_in_get)) {
    co_return *error;
  }
  for (std::string& id : *standard.ids) id = context->Resolve(id).value_or(id);
  jmap::DropRepeated(&*standard.ids);
  const std::vector<store::EmailId> numbers = NumbersOf(*standard.ids);
  Progress progress;
  const size_t size = get.fetches_values() || get.needs_part_headers() ? kTextPage : kPage;
  // Once at least, for the state.
  for (size_t at = 0; at == 0 || at < numbers.size(); at += size) {
    if (auto error = TooLate(*context)) co_return *error;
    const std::span<const store::EmailId> page =
        std::span(numbers).subspan(at, std::min(size, numbers.size() - at));
    absl::Status read = co_await context->env->database->Run(
        [account = context->account(), page, &get, &progress](db::Connection& c) {
          return Page(c, account, get, &progress).Read(page);
        });
    if (!read.ok()) co_return ServerError(*context, read);
  }
  json::array list;
  json::array not_found;
  for (const std::string& id : *standard.ids) {
    const auto number = jmap::ParseId(jmap::IdType::kEmail, id);
    const auto found = number ? progress.found.find(store::EmailId{*number}) : progress.found.end();
    if (found == progress.found.end()) {
      not_found.emplace_back(id);
    } else {
      list.push_back(std::move(found->second));
    }
  }
  co_return json::object{{"accountId", context->account_id},
                         {"state", jmap::FormatState(progress.state)},
                         {"list", std::move(list)},
                         {"notFound", std::move(not_found)}};
}

}  // namespace godwit::webmail_api
