#pragma once

// The configuration (config.proto) as the plain values that everything below Server works with.

#include "libs/base/rate_limiter.h"
#include "libs/outgoing/sender.h"
#include "services/submission/config.pb.h"
#include "services/submission/services.h"

namespace godwit::submission {

Settings MakeSettings(const Config& config);

outgoing::Sender::Options MakeSenderOptions(const Config& config);

struct RateLimits {
  base::RateLimiter::Options messages;
  base::RateLimiter::Options recipients;
};
RateLimits MakeRateLimits(const Config& config);

}  // namespace godwit::submission
