#include "libs/certificates/bundle.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::certificates {
namespace {

constexpr size_t kLongestName = 200;

absl::Status Failed(const std::string& path) {
  return base::Unavailable(path + ": " + strerrordesc_np(errno));
}

bool Holds(const std::string& path, std::string_view contents) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  const base::Secret found(
      std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>()));
  return found.Reveal() == contents;
}

absl::Status WriteAll(int fd, const std::string& path, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(fd, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path);
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(fd) == 0 ? absl::OkStatus() : Failed(path);
}

// The rename is durable when its folder is.
void FlushFolderOf(const std::string& path) {
  const int fd = open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

absl::StatusOr<bool> WriteIdentity(const std::string& path, const Identity& identity) {
  std::string text = identity.chain_pem;
  text += identity.key_pem.Reveal();
  const base::Secret both(text);
  explicit_bzero(text.data(), text.size());
  return ReplaceFile(path, both.Reveal());
}

}  // namespace

bool IsCertificateName(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || name.front() == '.') return false;
  const std::string file = std::string(name) + ".pem";
  if (file == kRpcFile || file == kRpcAuthoritiesFile) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return base::IsAlnum(c) || c == '.' || c == '-' || c == '_'; });
}

absl::StatusOr<bool> ReplaceFile(const std::string& path, std::string_view contents) {
  if (Holds(path, contents)) return false;
  const std::string beside = path + ".new";
  unlink(beside.c_str());
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed(beside);
  absl::Status written = WriteAll(fd, beside, contents);
  close(fd);
  if (written.ok() && rename(beside.c_str(), path.c_str()) != 0) written = Failed(path);
  if (!written.ok()) {
    unlink(beside.c_str());
    return written;
  }
  FlushFolderOf(path);
  return true;
}

absl::StatusOr<bool> WriteBundle(const std::string& folder, const Bundle& bundle) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return Failed(folder);
  bool changed = false;
  absl::Status first;
  auto note = [&](const absl::StatusOr<bool>& result) {
    changed = changed || (result.ok() && *result);
    if (first.ok()) first = result.status();
  };
  note(ReplaceFile(folder + "/" + kRpcAuthoritiesFile, bundle.rpc_authorities_pem));
  note(WriteIdentity(folder + "/" + kRpcFile, bundle.rpc));
  for (const Identity& identity : bundle.public_ones) {
    if (!IsCertificateName(identity.name)) {
      note(base::InvalidArgument("\"" + identity.name + "\" can not be a certificate's name"));
      continue;
    }
    note(WriteIdentity(folder + "/" + identity.name + ".pem", identity));
  }
  if (!first.ok()) return first;
  return changed;
}

}  // namespace godwit::certificates
