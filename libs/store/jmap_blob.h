#pragma once

// Uploads (RFC 8620 §6.1): staged blobs (blob.h) that a client may refer to until they expire, and
// submissions (RFC 8621 §7) that went into the queue.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/db/connection.h"
#include "libs/store/blob.h"
#include "libs/store/ids.h"

namespace godwit::store {

// The staged blob is complete: from now on it can be found. ResourceExhausted when the account has
// uploaded more than `max_bytes` that have not expired.
absl::Status AddUpload(db::Connection& connection, const StagedBlob& staged, absl::Time expires,
                       absl::Time now, int64_t max_bytes);

// For ReadBlob; nothing when there is none, or none any more at `now`.
absl::StatusOr<std::optional<BlobRef>> FindUpload(db::Connection& connection, AccountId account,
                                                  BlobId blob, absl::Time now);

enum class SubmissionId : int64_t { kNone = 0 };

struct Submission {
  SubmissionId id = SubmissionId::kNone;
  std::string identity;
  EmailId email = EmailId::kNone;
  ThreadId thread = ThreadId::kNone;
  std::string mail_from;
  std::vector<std::string> rcpt_to;
  int64_t queue_id = 0;
  absl::Time send_at;
  Modseq created_modseq = 0;
};

// Submissions of an account that are remembered.
inline constexpr int kMaxSubmissions = 1000;

struct AddedSubmission {
  SubmissionId id = SubmissionId::kNone;
  Change change;
};
absl::StatusOr<AddedSubmission> AddSubmission(db::Connection& connection, AccountId account,
                                              const Submission& submission);

// Those that are there, newest first, with the state of the type.
struct Submissions {
  std::vector<Submission> submissions;
  Modseq state = 1;
};
absl::StatusOr<Submissions> ListSubmissions(db::Connection& connection, AccountId account);

}  // namespace godwit::store
