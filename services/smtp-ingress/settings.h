#pragma once

// The configuration (config.proto) as the plain values that everything below Server works with.

#include "services/smtp-ingress/config.pb.h"
#include "services/smtp-ingress/services.h"

namespace godwit::smtp_ingress {

Settings MakeSettings(const Config& config);
VerifyOptions MakeVerifyOptions(const Config& config);
// Needs config.delivery_queue.
outgoing::Sender::Options MakeSenderOptions(const Config& config);
}  // namespace godwit::smtp_ingress
