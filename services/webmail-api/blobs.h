#pragma once

// Blobs of JMAP (RFC 8620 §6): the octets of an email, of one decoded part of it, or of an upload;
// read piece by piece. Between two pieces no database connection is held.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "libs/base/task.h"
#include "libs/db/connection.h"
#include "libs/jmap/id.h"
#include "libs/mime/transfer.h"
#include "libs/net/http.h"
#include "libs/store/blob.h"
#include "libs/store/ids.h"
#include "services/webmail-api/settings.h"

namespace godwit::webmail_api {

// A range of stored octets, with the transfer encoding to take off.
struct BlobSpan {
  store::BlobRef blob;
  int64_t offset = 0;
  int64_t size = 0;
  mime::TransferEncoding encoding = mime::TransferEncoding::kIdentity;
  std::string type;  // "" unknown
};

// Finds a blob of the account; NotFound for one of another account, too.
absl::StatusOr<BlobSpan> FindBlob(db::Connection& connection, store::AccountId account,
                                  const jmap::BlobName& name, absl::Time now);

class BlobReader : public net::BodySource {
 public:
  BlobReader(Environment* environment, store::AccountId account, BlobSpan span)
      : env_(environment), account_(account), span_(std::move(span)), decoder_(span_.encoding) {}

  base::Task<absl::StatusOr<std::string>> Next() override;

 private:
  Environment* const env_;
  const store::AccountId account_;
  const BlobSpan span_;
  mime::TransferDecoder decoder_;
  int64_t read_ = 0;
  bool finished_ = false;
};

// Stores the body of a request as an upload. ResourceExhausted: too much for the account.
struct UnreadBody {
  absl::Status why;  // as HttpBody's
};
struct Upload {
  store::BlobId blob = store::BlobId::kNone;
  int64_t size = 0;
};
base::Task<std::variant<Upload, UnreadBody, absl::Status>> StoreUpload(Environment* environment,
                                                                       store::AccountId account,
                                                                       net::HttpBody* body);

}  // namespace godwit::webmail_api
