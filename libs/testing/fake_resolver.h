#pragma once

// FakeResolver: a dns::Resolver that answers at once from a FakeZone. Any thread.
//
//   testing::FakeResolver resolver(R"(example.org MX 10 mail.example.org)");
//   resolver.zone().Override({"slow.example", DnsType::kA}, testing::TempFail("timeout"));

#include <map>
#include <mutex>
#include <string_view>

#include "libs/base/dns_answer.h"
#include "libs/base/task.h"
#include "libs/dns/resolver.h"
#include "libs/testing/fake_zone.h"

namespace godwit::testing {

class FakeResolver : public dns::Resolver {
 public:
  FakeResolver() = default;
  explicit FakeResolver(std::string_view zone_text) : zone_(zone_text) {}

  base::Task<base::DnsAnswer> Resolve(base::DnsQuestion question) override;

  // To change it while others resolve, use Set.
  FakeZone& zone() { return zone_; }
  void Set(FakeZone zone);

  // How often this question, or any question, was asked.
  int count(const base::DnsQuestion& question) const;
  int total() const;

 private:
  mutable std::mutex mutex_;
  FakeZone zone_;
  std::map<base::DnsQuestion, int> counts_;
};

}  // namespace godwit::testing
