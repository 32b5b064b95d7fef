#pragma once

// The shape of godwitctl: commands of several words, named arguments, flags of their own.
//
//   godwitctl account add ADDRESS [--quota SIZE] [--password-stdin] [--json]
//
// Flags may stand anywhere after the command's words, as "--name value" or "--name=value"; "--"
// ends them. Everybody who uses a flag or an argument that a command has not is told so.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/godwitctl/report.h"

namespace godwit::ctl {

struct Flag {
  std::string name;   // without the dashes
  std::string value;  // what stands for it in the help; "" for a flag without a value
  std::string help;
  bool required = false;
};

class Invocation {
 public:
  // An argument by its name in the command ("ADDRESS"); it is there, the parser has seen to it.
  const std::string& argument(std::string_view name) const;
  // Arguments of the last, repeatable one ("MEMBER...", "[DAEMON...]").
  const std::vector<std::string>& rest() const { return rest_; }
  std::optional<std::string> flag(std::string_view name) const;
  bool has(std::string_view name) const { return flag(name).has_value(); }

 private:
  friend class CommandLine;
  std::map<std::string, std::string, std::less<>> arguments_;
  std::vector<std::string> rest_;
  std::map<std::string, std::string, std::less<>> flags_;
};

struct Command {
  std::string words;                   // "account add"
  std::vector<std::string> arguments;  // "ADDRESS"; the last may be "MEMBER..." (one or
                                       // more) or "[DAEMON...]" (none or more)
  std::vector<Flag> flags;
  std::string help;  // one sentence
  std::function<absl::StatusOr<Report>(const Invocation&)> run;
};

class CommandLine {
 public:
  explicit CommandLine(std::vector<Command> commands) : commands_(std::move(commands)) {}

  // Runs what `words` ask for and prints it. 0 done; 1 it failed, the reason on standard error;
  // 2 the words are wrong.
  int Run(const std::vector<std::string>& words) const;
  // All commands, or those that begin with `prefix`.
  std::string Help(std::string_view prefix = "") const;

 private:
  const Command* Find(const std::vector<std::string>& words, size_t* used) const;
  static absl::StatusOr<Invocation> Parse(const Command& command,
                                          const std::vector<std::string>& words, size_t used);
  static absl::Status ParseFlag(const Command& command, const std::vector<std::string>& words,
                                size_t* position, Invocation* invocation);
  static absl::Status PlaceArguments(const Command& command, std::vector<std::string> given,
                                     Invocation* invocation);

  std::vector<Command> commands_;
};

}  // namespace godwit::ctl
