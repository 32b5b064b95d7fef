// godwitctl: the command line of operators and administrators. See README.md.

#include <iterator>
#include <string>
#include <vector>

#include "tools/godwitctl/command_line.h"
#include "tools/godwitctl/commands.h"

int main(int argc, char** argv) {
  namespace ctl = godwit::ctl;
  std::vector<ctl::Command> all;
  for (auto* family :
       {ctl::DomainCommands, ctl::AccountCommands, ctl::AddressCommands, ctl::AliasCommands,
        ctl::StoreCommands, ctl::QueueCommands, ctl::SessionCommands, ctl::DkimCommands,
        ctl::DmarcCommands, ctl::TlsrptCommands, ctl::SignCommands, ctl::VerifyCommands,
        ctl::LookupCommands, ctl::CertificateCommands, ctl::DaemonCommands}) {
    auto commands = family();
    std::move(commands.begin(), commands.end(), std::back_inserter(all));
  }
  return ctl::CommandLine(std::move(all)).Run({argv + 1, argv + argc});
}
