#pragma once

// The commands, a function a family.

#include <vector>

#include "tools/godwitctl/command_line.h"

namespace godwit::ctl {

std::vector<Command> DomainCommands();
std::vector<Command> AccountCommands();  // account and admin
std::vector<Command> AddressCommands();  // address and srs
std::vector<Command> AliasCommands();
std::vector<Command> StoreCommands();
std::vector<Command> QueueCommands();
std::vector<Command> SessionCommands();
std::vector<Command> DkimCommands();
std::vector<Command> SignCommands();    // arc seal, dkim sign
std::vector<Command> DmarcCommands();   // the reports that we send
std::vector<Command> TlsrptCommands();  // the reports that others send us
std::vector<Command> VerifyCommands();
std::vector<Command> LookupCommands();
std::vector<Command> CertificateCommands();
std::vector<Command> DaemonCommands();  // status, log-level, drain

}  // namespace godwit::ctl
