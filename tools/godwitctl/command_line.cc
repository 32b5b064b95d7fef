#include "tools/godwitctl/command_line.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "libs/base/ascii.h"
#include "libs/base/status.h"

namespace godwit::ctl {
namespace {

constexpr char kJson[] = "json";

bool IsRepeatable(std::string_view argument) {
  return argument.ends_with("...") || argument.ends_with("...]");
}
bool IsOptional(std::string_view argument) { return argument.starts_with('['); }

std::string Usage(const Command& command) {
  std::string usage = "godwitctl " + command.words;
  for (const std::string& argument : command.arguments) usage += " " + argument;
  for (const Flag& flag : command.flags) {
    const std::string text = "--" + flag.name + (flag.value.empty() ? "" : " " + flag.value);
    usage += flag.required ? " " + text : " [" + text + "]";
  }
  return usage + " [--json]";
}

void Print(const std::string& text, FILE* to) {
  std::fwrite(text.data(), 1, text.size(), to);
  if (!text.empty() && text.back() != '\n') std::fputc('\n', to);
}

}  // namespace

const std::string& Invocation::argument(std::string_view name) const {
  return arguments_.find(name)->second;
}

std::optional<std::string> Invocation::flag(std::string_view name) const {
  const auto found = flags_.find(name);
  if (found == flags_.end()) return std::nullopt;
  return found->second;
}

const Command* CommandLine::Find(const std::vector<std::string>& words, size_t* used) const {
  for (const Command& command : commands_) {
    const auto parts = base::Split(command.words, ' ');
    if (words.size() < parts.size()) continue;
    if (!std::equal(parts.begin(), parts.end(), words.begin())) continue;
    *used = parts.size();
    return &command;
  }
  return nullptr;
}

absl::Status CommandLine::ParseFlag(const Command& command, const std::vector<std::string>& words,
                                    size_t* position, Invocation* invocation) {
  const std::string& word = words[*position];
  const size_t equals = word.find('=');
  const std::string name = word.substr(2, equals == word.npos ? word.npos : equals - 2);
  const auto known = std::find_if(command.flags.begin(), command.flags.end(),
                                  [&](const Flag& flag) { return flag.name == name; });
  if (name != kJson && known == command.flags.end()) {
    return base::InvalidArgument("there is no flag --" + name + " here");
  }
  const bool takes_value = name != kJson && !known->value.empty();
  std::string value;
  if (takes_value && equals == word.npos) {
    if (++*position == words.size()) return base::InvalidArgument("--" + name + " needs a value");
    value = words[*position];
  } else if (equals != word.npos) {
    if (!takes_value) return base::InvalidArgument("--" + name + " takes no value");
    value = word.substr(equals + 1);
  }
  if (!invocation->flags_.emplace(name, value).second) {
    return base::InvalidArgument("--" + name + " is given twice");
  }
  return absl::OkStatus();
}

absl::Status CommandLine::PlaceArguments(const Command& command, std::vector<std::string> given,
                                         Invocation* invocation) {
  size_t next = 0;
  for (const std::string& name : command.arguments) {
    if (next == given.size() && IsOptional(name)) break;
    if (next == given.size()) return base::InvalidArgument(name + " is missing");
    if (IsRepeatable(name)) {
      invocation->rest_.assign(given.begin() + static_cast<ptrdiff_t>(next), given.end());
      next = given.size();
    } else {
      invocation->arguments_[name] = given[next++];
    }
  }
  if (next < given.size()) return base::InvalidArgument("\"" + given[next] + "\" is too much");
  return absl::OkStatus();
}

absl::StatusOr<Invocation> CommandLine::Parse(const Command& command,
                                              const std::vector<std::string>& words, size_t used) {
  Invocation invocation;
  std::vector<std::string> given;
  bool flags_ended = false;
  for (size_t i = used; i < words.size(); ++i) {
    if (!flags_ended && words[i] == "--") {
      flags_ended = true;
    } else if (!flags_ended && words[i].starts_with("--")) {
      GODWIT_RETURN_IF_ERROR(ParseFlag(command, words, &i, &invocation));
    } else {
      given.push_back(words[i]);
    }
  }
  GODWIT_RETURN_IF_ERROR(PlaceArguments(command, std::move(given), &invocation));
  for (const Flag& flag : command.flags) {
    if (flag.required && !invocation.has(flag.name)) {
      return base::InvalidArgument("--" + flag.name + " is missing");
    }
  }
  return invocation;
}

int CommandLine::Run(const std::vector<std::string>& words) const {
  if (words.empty() || words[0] == "help" || words[0] == "--help") {
    Print(Help(), stdout);
    return words.empty() ? 2 : 0;
  }
  size_t used = 0;
  const Command* command = Find(words, &used);
  if (command == nullptr) {
    const std::string near = Help(words[0]);
    Print("godwitctl: there is no such command.\n" + (near.empty() ? Help() : near), stderr);
    return 2;
  }
  if (std::find(words.begin(), words.end(), "--help") != words.end()) {
    Print(Help(command->words), stdout);
    return 0;
  }
  absl::StatusOr<Invocation> invocation = Parse(*command, words, used);
  if (!invocation.ok()) {
    Print("godwitctl: " + std::string(base::Message(invocation.status())) +
              ".\nusage: " + Usage(*command),
          stderr);
    return 2;
  }
  absl::StatusOr<Report> report = command->run(*invocation);
  if (!report.ok()) {
    Print("godwitctl: " + std::string(base::Message(report.status())), stderr);
    return 1;
  }
  Print(invocation->has(kJson) ? report->Json() : report->text(), stdout);
  return report->exit_code();
}

std::string CommandLine::Help(std::string_view prefix) const {
  std::string text;
  for (const Command& command : commands_) {
    if (!command.words.starts_with(prefix)) continue;
    text += Usage(command) + "\n    " + command.help + "\n";
    if (prefix.empty()) continue;
    for (const Flag& flag : command.flags) text += "      --" + flag.name + "  " + flag.help + "\n";
  }
  return text;
}

}  // namespace godwit::ctl
