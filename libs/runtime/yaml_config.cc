#include "libs/runtime/yaml_config.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"
#include "libs/runtime/field_value.h"

namespace godwit::runtime {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kLongestText = 1 << 20;
constexpr int kDeepest = 32;
constexpr int kMostNodes = 100000;
constexpr size_t kMostErrors = 200;
constexpr size_t kLongestQuote = 60;

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

// "; did you mean "max_size"?", or nothing.
std::string Suggestion(std::string_view name, const Descriptor& type) {
  if (name.size() > 64) return "";
  const FieldDescriptor* best = nullptr;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (int i = 0; i < type.field_count(); ++i) {
    const size_t distance = EditDistance(name, type.field(i)->name());
    if (distance < best_distance) {
      best = type.field(i);
      best_distance = distance;
    }
  }
  return best == nullptr ? "" : "; did you mean \"" + best->name() + "\"?";
}

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text.substr(0, kLongestQuote)) {
    quoted += static_cast<unsigned char>(c) < ' ' || c == 127 ? '?' : c;
  }
  return quoted + (text.size() > kLongestQuote ? "...\"" : "\"");
}

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

// The variable of a scalar that is "${ENV:NAME}" as a whole.
std::optional<std::string> VariableOf(std::string_view text) {
  constexpr std::string_view kStart = "${ENV:";
  if (!text.starts_with(kStart) || !text.ends_with('}')) return std::nullopt;
  return std::string(text.substr(kStart.size(), text.size() - kStart.size() - 1));
}

// Counts what a parse would make, so that nothing is built from a text that is too much.
class Counter : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Count(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    Count(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Enter(mark);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Enter(mark);
  }
  void OnMapEnd() override { --depth_; }

 private:
  void Count(const YAML::Mark& mark) {
    if (++nodes_ > kMostNodes) throw YAML::ParserException(mark, "too large");
  }
  void Enter(const YAML::Mark& mark) {
    Count(mark);
    if (++depth_ > kDeepest) throw YAML::ParserException(mark, "nested too deep");
  }
  int nodes_ = 0;
  int depth_ = 0;
};

// The one document of `text`; throws YAML::Exception. Not YAML::LoadAll: of a lone "," that makes
// empty documents for ever.
YAML::Node ParseDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Counter counter;
  if (!parser.HandleNextDocument(counter)) return YAML::Node();
  if (parser.HandleNextDocument(counter)) {
    throw YAML::ParserException(YAML::Mark(), "more than one YAML document, or no YAML");
  }
  return YAML::Load(text);
}

struct Entry {
  YAML::Node key;
  YAML::Node value;
};
using Entries = std::vector<std::pair<std::string, Entry>>;

class Loader {
 public:
  Loader(std::string_view file, const Environment& environment)
      : file_(file), environment_(environment) {}

  void Load(std::string_view text, Message* message);
  std::vector<ConfigError> TakeErrors();

 private:
  void Error(const YAML::Mark& mark, const std::string& path, const std::string& reason);
  bool Spend(const YAML::Node& node, const std::string& path, int depth);
  void FillMessage(const YAML::Node& node, const std::string& path, int depth, Message* message);
  Entries EntriesOf(const YAML::Node& node, const std::string& path, int depth);
  void MergeInto(const YAML::Node& merged, const std::string& path, int depth, Entries* entries);
  void FillField(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
                 int depth, Message* message);
  void FillList(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
                int depth, Message* message);
  void FillMap(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
               int depth, Message* message);
  void FillValue(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
                 int depth, Message* message);
  void FillScalar(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
                  Message* message);
  void FillAbsent(const YAML::Mark& mark, const FieldDescriptor& field, const std::string& path,
                  int depth, Message* message);
  void FillAbsentScalar(const YAML::Mark& mark, const FieldDescriptor& field,
                        const std::string& path, Message* message);

  std::string file_;
  const Environment& environment_;
  std::vector<ConfigError> errors_;
  int nodes_ = 0;
  bool exhausted_ = false;
};

void Loader::Error(const YAML::Mark& mark, const std::string& path, const std::string& reason) {
  if (errors_.size() >= kMostErrors) return;
  ConfigError error;
  error.file = file_;
  error.line = std::max(mark.line, 0) + 1;  // a null mark has -1
  error.column = std::max(mark.column, 0) + 1;
  error.path = path;
  error.reason = reason;
  errors_.push_back(std::move(error));
}

std::vector<ConfigError> Loader::TakeErrors() {
  std::stable_sort(errors_.begin(), errors_.end(), [](const auto& a, const auto& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(errors_);
}

// Aliases make a small text a huge tree: every visit counts.
bool Loader::Spend(const YAML::Node& node, const std::string& path, int depth) {
  if (exhausted_) return false;
  ++nodes_;
  if (depth <= kDeepest && nodes_ <= kMostNodes) return true;
  exhausted_ = true;
  Error(node.Mark(), path, depth > kDeepest ? "nested too deep" : "too large with its aliases");
  return false;
}

void Loader::Load(std::string_view text, Message* message) {
  if (text.size() > kLongestText) return Error(YAML::Mark(), "", "the file is over 1 MiB");
  try {
    FillMessage(ParseDocument(std::string(text)), "", 0, message);
  } catch (const YAML::Exception& exception) {
    Error(exception.mark, "", exception.msg);
  } catch (const std::exception& exception) {
    Error(YAML::Mark(), "", exception.what());
  }
}

// The entries of a section, keys of its own before those merged in (<<), each key once.
Entries Loader::EntriesOf(const YAML::Node& node, const std::string& path, int depth) {
  Entries entries;
  std::vector<YAML::Node> merges;
  std::set<std::string> names;
  for (const auto& pair : node) {
    if (!Spend(pair.first, path, depth)) break;
    if (!pair.first.IsScalar()) {
      Error(pair.first.Mark(), path, "a key must be a name");
      continue;
    }
    const std::string& name = pair.first.Scalar();
    if (!names.insert(name).second) {
      Error(pair.first.Mark(), Join(path, name), "duplicate key");
    } else if (name == "<<") {
      merges.push_back(pair.second);
    } else {
      entries.push_back({name, {pair.first, pair.second}});
    }
  }
  for (const YAML::Node& merged : merges) MergeInto(merged, path, depth + 1, &entries);
  return entries;
}

void Loader::MergeInto(const YAML::Node& merged, const std::string& path, int depth,
                       Entries* entries) {
  if (!Spend(merged, path, depth)) return;
  if (merged.IsSequence()) {
    for (const YAML::Node& each : merged) MergeInto(each, path, depth + 1, entries);
    return;
  }
  if (!merged.IsMap()) return Error(merged.Mark(), path, "<< needs a section to merge");
  for (auto& entry : EntriesOf(merged, path, depth)) {
    const bool known = std::any_of(entries->begin(), entries->end(),
                                   [&](const auto& own) { return own.first == entry.first; });
    if (!known) entries->push_back(std::move(entry));
  }
}

void Loader::FillMessage(const YAML::Node& node, const std::string& path, int depth,
                         Message* message) {
  if (!Spend(node, path, depth)) return;
  const Descriptor& type = *message->GetDescriptor();
  std::set<const FieldDescriptor*> given;
  std::map<const google::protobuf::OneofDescriptor*, std::string> chosen;
  if (node.IsDefined() && !node.IsNull() && !node.IsMap()) {
    return Error(node.Mark(), path, "expected a section (name: value)");
  }
  for (const auto& [name, entry] : EntriesOf(node, path, depth)) {
    const FieldDescriptor* field = type.FindFieldByName(name);
    if (field == nullptr) {
      Error(entry.key.Mark(), Join(path, name), "unknown field" + Suggestion(name, type));
      continue;
    }
    if (entry.value.IsNull()) continue;  // as if it were not there
    given.insert(field);
    if (const auto* oneof = field->real_containing_oneof()) {
      const auto [other, first] = chosen.emplace(oneof, name);
      if (!first) {
        Error(entry.key.Mark(), Join(path, name), "can't be together with " + other->second);
        continue;
      }
    }
    FillField(entry.value, *field, Join(path, name), depth + 1, message);
  }
  for (int i = 0; i < type.field_count(); ++i) {
    if (given.count(type.field(i)) != 0) continue;
    FillAbsent(node.Mark(), *type.field(i), Join(path, type.field(i)->name()), depth, message);
  }
}

void Loader::FillField(const YAML::Node& node, const FieldDescriptor& field,
                       const std::string& path, int depth, Message* message) {
  if (field.is_map()) {
    FillMap(node, field, path, depth, message);
  } else if (field.is_repeated()) {
    FillList(node, field, path, depth, message);
  } else {
    FillValue(node, field, path, depth, message);
  }
}

void Loader::FillList(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
                      int depth, Message* message) {
  if (!node.IsSequence()) return Error(node.Mark(), path, "expected a list");
  size_t index = 0;
  for (const YAML::Node& item : node) {
    FillValue(item, field, path + "[" + std::to_string(index++) + "]", depth + 1, message);
    if (exhausted_) return;
  }
  if (index == 0 && RulesOf(field).required()) Error(node.Mark(), path, "must not be empty");
}

void Loader::FillMap(const YAML::Node& node, const FieldDescriptor& field, const std::string& path,
                     int depth, Message* message) {
  if (!node.IsMap()) return Error(node.Mark(), path, "expected a section (name: value)");
  for (const auto& [name, entry] : EntriesOf(node, path, depth)) {
    Message* pair = message->GetReflection()->AddMessage(message, &field);
    const std::string place = path + "[" + name + "]";
    if (auto problem = SetScalar(name, false, *field.message_type()->map_key(), pair)) {
      Error(entry.key.Mark(), place, "as a key: " + *problem);
    }
    FillValue(entry.value, *field.message_type()->map_value(), place, depth + 1, pair);
  }
}

void Loader::FillValue(const YAML::Node& node, const FieldDescriptor& field,
                       const std::string& path, int depth, Message* message) {
  if (IsScalar(field)) {
    if (Spend(node, path, depth)) FillScalar(node, field, path, message);
    return;
  }
  const auto* reflection = message->GetReflection();
  Message* section = field.is_repeated() ? reflection->AddMessage(message, &field)
                                         : reflection->MutableMessage(message, &field);
  FillMessage(node, path, depth, section);
}

void Loader::FillScalar(const YAML::Node& node, const FieldDescriptor& field,
                        const std::string& path, Message* message) {
  if (!node.IsScalar()) return Error(node.Mark(), path, "expected " + Expected(field));
  std::string text = node.Scalar();
  const auto variable = VariableOf(text);
  if (variable) {
    const auto value = environment_(*variable);
    if (!value) {
      return Error(node.Mark(), path, "the variable " + *variable + " is not set");
    }
    text = *value;
  }
  const bool quoted = !variable && node.Tag() == "!";
  if (auto problem = SetScalar(text, quoted, field, message)) {
    // What came from the environment may be a secret.
    const std::string shown = variable ? "the value of " + *variable : Quote(text);
    Error(node.Mark(), path, shown + ": " + *problem);
  }
}

void Loader::FillAbsent(const YAML::Mark& mark, const FieldDescriptor& field,
                        const std::string& path, int depth, Message* message) {
  const config::v1::Rules& rules = RulesOf(field);
  if (!IsScalar(field)) {
    if (field.is_repeated() || rules.optional() || field.real_containing_oneof() != nullptr) {
      if (rules.required()) Error(mark, path, "required");
      return;
    }
    if (depth >= kDeepest) return Error(mark, path, "nested too deep");
    Message* section = message->GetReflection()->MutableMessage(message, &field);
    const Descriptor& type = *section->GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      FillAbsent(mark, *type.field(i), Join(path, type.field(i)->name()), depth + 1, section);
    }
    return;
  }
  FillAbsentScalar(mark, field, path, message);
}

void Loader::FillAbsentScalar(const YAML::Mark& mark, const FieldDescriptor& field,
                              const std::string& path, Message* message) {
  const config::v1::Rules& rules = RulesOf(field);
  const auto variable = rules.env().empty() ? std::nullopt : environment_(rules.env());
  if (variable) {
    if (auto problem = SetScalar(*variable, false, field, message)) {
      Error(mark, path, "the value of " + rules.env() + ": " + *problem);
    }
  } else if (!rules.default_().empty()) {
    if (auto problem = SetScalar(rules.default_(), false, field, message)) {
      Error(mark, path, "its default: " + *problem);
    }
  } else if (rules.required()) {
    Error(mark, path,
          rules.env().empty() ? "required" : "required (or the variable " + rules.env() + ")");
  }
}

}  // namespace

std::string ConfigError::ToString() const {
  std::string text = file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  if (!path.empty()) text += path + ": ";
  return text + reason;
}

std::optional<std::string> ProcessEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

std::vector<ConfigError> LoadYaml(std::string_view text, std::string_view file,
                                  const Environment& environment, Message* message) {
  Loader loader(file, environment);
  loader.Load(text, message);
  return loader.TakeErrors();
}

absl::Status LoadYamlFile(const std::string& path, Message* message) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound("the configuration " + path + " can't be read");
  std::ostringstream text;
  text << file.rdbuf();
  std::string lines;
  for (const ConfigError& error : LoadYaml(text.str(), path, ProcessEnvironment, message)) {
    if (!lines.empty()) lines += '\n';
    lines += error.ToString();
  }
  if (!lines.empty()) return base::InvalidArgument(lines);
  return absl::OkStatus();
}

}  // namespace godwit::runtime
