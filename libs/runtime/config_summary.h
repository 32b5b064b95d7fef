#pragma once

// A configuration as an operator may see it: every setting with its value, defaults included, in
// the order of the schema, without secrets.
//
// A setting that may come from the environment (rule `env`, options.proto) is a secret: its value
// is "(secret)", or empty when it is not set. Pure.

#include <string>
#include <vector>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace godwit::runtime {

struct Setting {
  std::string path;   // "listeners[0].listen"
  std::string value;  // as it would be written in the file, sizes in bytes
};

std::vector<Setting> SummarizeConfig(const google::protobuf::Message& config);

}  // namespace godwit::runtime
