#pragma once

// ReportAddresses: the addresses of ours that others send reports to (DMARC), as the directory
// marks them (godwitctl address reports). Few, and asked for each message: kept in memory, and read
// anew each minute. Any thread.

#include <mutex>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "libs/base/task.h"
#include "libs/db/pool.h"
#include "libs/smtp/path.h"

namespace godwit::smtp_ingress {

class ReportAddresses {
 public:
  // Reads them. An error leaves those of the last time.
  base::Task<absl::Status> Refresh(db::Pool* pool);

  // Without regard to case, and without tags.
  bool Contains(const smtp::Address& address) const;

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_set<std::string> addresses_;
};

}  // namespace godwit::smtp_ingress
