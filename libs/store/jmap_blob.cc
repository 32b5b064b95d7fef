#include "libs/store/jmap_blob.h"

#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kAddUpload("jmap_add_upload", Scope::kOneAccount, Access::kWrite,
                               "SELECT add_upload($1, $2, $3, $4, $5, $6)");
const db::Statement kFindUpload("jmap_find_upload", Scope::kOneAccount, Access::kRead,
                                "SELECT size FROM uploads "
                                "WHERE account_id = $1 AND blob_id = $2 AND expires_at > $3");
const db::Statement kAddSubmission("jmap_add_submission", Scope::kOneAccount, Access::kWrite,
                                   "SELECT modseq, submission_id, watchers "
                                   "FROM add_submission($1, $2, $3, $4, $5, $6, $7, $8, $9)");
const db::Statement kSubmissionState("jmap_submission_state", Scope::kOneAccount, Access::kRead,
                                     "SELECT submission_modseq FROM accounts "
                                     "WHERE account_id = $1");
const db::Statement kSubmissions("jmap_submissions", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT submission_id, identity_id, email_id, thread_id, mail_from, rcpt_to, queue_id, send_at,
         created_modseq
  FROM email_submissions WHERE account_id = $1 ORDER BY submission_id DESC)sql");

Submission SubmissionFrom(const db::Row& row) {
  Submission submission;
  submission.id = SubmissionId{row.Int(0)};
  submission.identity = row.Text(1);
  submission.email = EmailId{row.Int(2)};
  submission.thread = ThreadId{row.Int(3)};
  submission.mail_from = row.Text(4);
  submission.rcpt_to = row.Texts(5);
  submission.queue_id = row.Int(6);
  submission.send_at = row.Time(7);
  submission.created_modseq = row.Int(8);
  return submission;
}

}  // namespace

absl::Status AddUpload(db::Connection& connection, const StagedBlob& staged, absl::Time expires,
                       absl::Time now, int64_t max_bytes) {
  Params params;
  params.Int(ToInt(staged.account)).Int(ToInt(staged.blob)).Int(staged.body_size);
  params.Time(expires).Time(now).Int(max_bytes);
  return db::RetryAborted(
      connection, [&](db::Connection& c) { return c.Execute(kAddUpload, params).status(); });
}

absl::StatusOr<std::optional<BlobRef>> FindUpload(db::Connection& connection, AccountId account,
                                                  BlobId blob, absl::Time now) {
  Params params;
  params.Int(ToInt(account)).Int(ToInt(blob)).Time(now);
  GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kFindUpload, params));
  if (rows.empty()) return std::optional<BlobRef>();
  return std::optional<BlobRef>(BlobRef{blob, 0, rows[0].Int(0)});
}

absl::StatusOr<AddedSubmission> AddSubmission(db::Connection& connection, AccountId account,
                                              const Submission& submission) {
  Params params;
  params.Int(ToInt(account)).Text(submission.identity).Int(ToInt(submission.email));
  params.Int(ToInt(submission.thread)).Text(submission.mail_from);
  params.Texts(std::span<const std::string>(submission.rcpt_to)).Int(submission.queue_id);
  params.Time(submission.send_at).Int(kMaxSubmissions);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<AddedSubmission> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kAddSubmission, params));
    AddedSubmission added;
    added.change.modseq = rows[0].Int(0);
    added.id = SubmissionId{rows[0].Int(1)};
    added.change.watchers = rows[0].Texts(2);
    return added;
  });
}

absl::StatusOr<Submissions> ListSubmissions(db::Connection& connection, AccountId account) {
  const Params key = Params().Int(ToInt(account));
  const std::vector<db::Connection::Call> calls = {{&kSubmissionState, key}, {&kSubmissions, key}};
  GODWIT_ASSIGN_OR_RETURN(auto results,
                          connection.ExecutePipeline(calls, db::Isolation::kSnapshotReadOnly));
  if (results[0].empty()) return base::NotFound("no such account");
  Submissions found;
  found.state = results[0][0].Int(0);
  for (db::Row row : results[1]) found.submissions.push_back(SubmissionFrom(row));
  return found;
}

}  // namespace godwit::store
