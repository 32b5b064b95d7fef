#include "libs/rpc/tls_provider.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace godwit::rpc {
namespace {

using Provider = grpc::experimental::FileWatcherCertificateProvider;
using Key = std::tuple<std::string, std::string, std::string, int64_t>;

struct Shared {
  std::mutex mutex;
  std::map<Key, std::weak_ptr<Provider>> providers;
};

Shared& TheShared() {
  static Shared* shared = new Shared;  // for ever: channels may outlive everything
  return *shared;
}

}  // namespace

std::shared_ptr<Provider> ProviderFor(const TlsFiles& files) {
  const int64_t seconds = std::max<int64_t>(1, absl::ToInt64Seconds(files.reload));
  Shared& shared = TheShared();
  std::lock_guard lock(shared.mutex);
  std::weak_ptr<Provider>& kept =
      shared.providers[{files.key_file, files.certificate_file, files.ca_file, seconds}];
  if (auto provider = kept.lock()) return provider;
  auto provider = std::make_shared<Provider>(files.key_file, files.certificate_file, files.ca_file,
                                             static_cast<unsigned>(seconds));
  kept = provider;
  return provider;
}

}  // namespace godwit::rpc
