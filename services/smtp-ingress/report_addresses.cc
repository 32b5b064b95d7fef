#include "services/smtp-ingress/report_addresses.h"

#include <utility>
#include <vector>

#include "libs/base/ascii.h"
#include "libs/idna/domain.h"
#include "libs/store/dmarc_reports.h"

namespace godwit::smtp_ingress {

base::Task<absl::Status> ReportAddresses::Refresh(db::Pool* pool) {
  absl::StatusOr<std::vector<std::string>> read =
      co_await pool->Run([](db::Connection& c) { return store::ListReportAddresses(c); });
  if (!read.ok()) co_return read.status();
  absl::flat_hash_set<std::string> fresh(read->begin(), read->end());
  std::lock_guard lock(mutex_);
  addresses_ = std::move(fresh);
  co_return absl::OkStatus();
}

bool ReportAddresses::Contains(const smtp::Address& address) const {
  const auto domain = idna::ToAscii(address.domain);
  if (!domain) return false;
  const std::string name = base::Lower(address.local_part) + "@" + *domain;
  std::lock_guard lock(mutex_);
  return addresses_.contains(name);
}

}  // namespace godwit::smtp_ingress
