#pragma once

// YAML configuration into a protobuf message, walked against its descriptor.
//
//   smtp_ingress::v1::Config config;
//   std::vector<ConfigError> errors = LoadYaml(text, "smtp-ingress.yaml", environment, &config);
//
// Every error is reported at once, each with its place and path:
//   smtp-ingress.yaml:12:5: limits.max_sise: unknown field; did you mean "max_size"?
//
// Field names are those of the proto file. Values: scalars by type; enums by name in lower case,
// without the enum's prefix; google.protobuf.Duration as "100ms" "30s" "5m" "1h" "7d"; fields with
// unit BYTES as "512" "64KiB" "50MiB" "1GiB" (also kB MB GB); unit ENDPOINT as "HOST:PORT",
// "[::1]:25". Rules, defaults and bounds stand at the field (options.proto). `${ENV:NAME}` as a
// whole scalar is replaced by that variable of the environment; a field with rule `env` takes it
// from there when the file does not say. A section that is absent gets its defaults as if it were
// written empty, unless the rule `optional` says that it stays away.
//
// Anchors, aliases and merge keys (<<) work within bounds: 1 MiB of text, depth 32, 100,000 nodes
// counted after aliases are followed. Never throws (yaml-cpp's exceptions end here).

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace godwit::runtime {

struct ConfigError {
  std::string file;
  int line = 0;  // 1 is the first; 0: not in the file (a required field that is missing)
  int column = 0;
  std::string path;  // "listeners[2].tls.cert_file"
  std::string reason;
  // "file:line:column: path: reason"
  std::string ToString() const;
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
// getenv(3).
std::optional<std::string> ProcessEnvironment(const std::string& name);

// Fills `message`, which should be empty. All errors, in the order of the file; empty when good.
std::vector<ConfigError> LoadYaml(std::string_view text, std::string_view file,
                                  const Environment& environment,
                                  google::protobuf::Message* message);

// Reads `path`. NotFound when it can't be read; InvalidArgument with one line for each error.
absl::Status LoadYamlFile(const std::string& path, google::protobuf::Message* message);

}  // namespace godwit::runtime
