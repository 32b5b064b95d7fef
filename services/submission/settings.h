#pragma once

// The configuration (config.proto) as the plain values that everything below Server works with.

#include "libs/outgoing/daily_limits.h"
#include "libs/outgoing/sender.h"
#include "services/submission/config.pb.h"
#include "services/submission/services.h"

namespace godwit::submission {

Settings MakeSettings(const Config& config);

outgoing::Sender::Options MakeSenderOptions(const Config& config);

// Octets that the messages of one account may take.
int64_t MemoryOfAccount(const Config& config);

outgoing::DailyLimits::Options MakeDailyLimits(const Config& config);

}  // namespace godwit::submission
