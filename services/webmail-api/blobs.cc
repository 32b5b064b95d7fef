#include "services/webmail-api/blobs.h"

#include <algorithm>
#include <utility>

#include "libs/base/status.h"
#include "libs/jmap/email_body.h"
#include "libs/mime/record.h"
#include "libs/store/jmap_blob.h"
#include "libs/store/jmap_email.h"

namespace godwit::webmail_api {
namespace {

// Octets in one read: a chunk of the store, or a part of two.
constexpr size_t kRead = store::kChunkSize;

absl::StatusOr<BlobSpan> FindPart(const store::JmapEmail& email, const std::string& part_id) {
  GODWIT_ASSIGN_OR_RETURN(const mime::Summary summary, mime::Decode(email.summary));
  const jmap::BodyPart tree = jmap::MakeBodyTree(summary.root);
  const jmap::BodyPart* part = jmap::FindBodyPart(tree, part_id);
  if (part == nullptr) return base::NotFound("no such part");
  BlobSpan span;
  span.blob = email.blob;
  // Positions in the summary count from the beginning of the body.
  span.offset = email.blob.header_size + static_cast<int64_t>(part->part->body_offset);
  span.size = static_cast<int64_t>(part->part->body_size);
  span.encoding = mime::ParseTransferEncoding(part->part->encoding);
  span.type = part->type();
  return span;
}

// What is staged of one upload.
struct Progress {
  std::optional<store::StagedBlob> staged;
  std::string held;
  absl::Status unread;  // why the body was not read to its end
};

base::Task<absl::Status> StageUpload(Environment* environment, store::AccountId account,
                                     Progress* progress, size_t size) {
  std::string chunk = progress->held.substr(0, size);
  progress->held.erase(0, size);
  absl::StatusOr<store::StagedBlob> staged = co_await environment->database->Run(
      [account, before = progress->staged, chunk = std::move(chunk), random = environment->random,
       expires = environment->clock->Now() + environment->settings.upload_lifetime](
          db::Connection& c) -> absl::StatusOr<store::StagedBlob> {
        auto blob = before ? absl::StatusOr<store::StagedBlob>(*before)
                           : store::StageBlob(c, account, random, expires);
        if (!blob.ok()) return blob.status();
        if (!chunk.empty()) GODWIT_RETURN_IF_ERROR(store::StageChunk(c, &*blob, chunk, expires));
        return blob;
      });
  if (!staged.ok()) co_return staged.status();
  progress->staged = *staged;
  co_return absl::OkStatus();
}

base::Task<absl::Status> StageAll(Environment* environment, store::AccountId account,
                                  net::HttpBody* body, Progress* progress) {
  while (true) {
    auto piece = co_await body->Next();
    if (!piece.ok()) {
      progress->unread = piece.status();
      co_return piece.status();
    }
    progress->held += *piece;
    const bool end = piece->empty();
    while (progress->held.size() >= store::kChunkSize) {
      absl::Status staged = co_await StageUpload(environment, account, progress, store::kChunkSize);
      if (!staged.ok()) co_return staged;
    }
    if (!end) continue;
    absl::Status staged;
    if (!progress->held.empty() || !progress->staged) {
      staged = co_await StageUpload(environment, account, progress, progress->held.size());
    }
    co_return staged;
  }
}

}  // namespace

absl::StatusOr<BlobSpan> FindBlob(db::Connection& connection, store::AccountId account,
                                  const jmap::BlobName& name, absl::Time now) {
  if (name.kind == jmap::BlobName::Kind::kUpload) {
    GODWIT_ASSIGN_OR_RETURN(
        auto found, store::FindUpload(connection, account, store::BlobId{name.number}, now));
    if (!found) return base::NotFound("no such upload");
    return BlobSpan{*found, 0, found->size, mime::TransferEncoding::kIdentity, ""};
  }
  const store::EmailId id{name.number};
  const bool part = name.kind == jmap::BlobName::Kind::kPart;
  GODWIT_ASSIGN_OR_RETURN(auto emails,
                          store::GetJmapEmails(connection, account, std::span(&id, 1), part));
  if (emails.emails.empty()) return base::NotFound("no such email");
  const store::JmapEmail& email = emails.emails.front();
  if (part) return FindPart(email, name.part_id);
  return BlobSpan{email.blob, 0, email.blob.size, mime::TransferEncoding::kIdentity,
                  "message/rfc822"};
}

base::Task<absl::StatusOr<std::string>> BlobReader::Next() {
  while (!finished_) {
    std::string decoded;
    const auto length = static_cast<size_t>(std::min<int64_t>(kRead, span_.size - read_));
    if (length == 0) {
      decoder_.Finish(&decoded);
      finished_ = true;
    } else {
      absl::StatusOr<std::string> octets = co_await env_->database->Run(
          [account = account_, blob = span_.blob, at = span_.offset + read_,
           length](db::Connection& c) { return store::ReadBlob(c, account, blob, at, length); });
      if (!octets.ok()) co_return octets.status();
      if (octets->empty()) co_return base::DataLoss("the blob is shorter than it should be");
      read_ += static_cast<int64_t>(octets->size());
      decoder_.Decode(*octets, &decoded);
    }
    if (!decoded.empty()) co_return decoded;
  }
  co_return std::string();
}

base::Task<std::variant<Upload, UnreadBody, absl::Status>> StoreUpload(Environment* environment,
                                                                       store::AccountId account,
                                                                       net::HttpBody* body) {
  Progress progress;
  absl::Status status = co_await StageAll(environment, account, body, &progress);
  if (status.ok()) {
    status = co_await environment->database->Run(
        [staged = *progress.staged, now = environment->clock->Now(),
         lifetime = environment->settings.upload_lifetime,
         max = environment->settings.uploads_size](db::Connection& c) {
          return store::AddUpload(c, staged, now + lifetime, now, static_cast<int64_t>(max));
        });
  }
  if (status.ok()) co_return Upload{progress.staged->blob, progress.staged->body_size};
  if (progress.staged) {
    absl::Status dropped =
        co_await environment->database->Run([staged = *progress.staged](db::Connection& c) {
          return store::DropStagedBlob(c, staged);
        });
    dropped.IgnoreError();  // the sweep finds it
  }
  if (!progress.unread.ok()) co_return UnreadBody{progress.unread};
  co_return status;
}

}  // namespace godwit::webmail_api
