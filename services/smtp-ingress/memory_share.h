#pragma once

// MemoryShare: what one object holds of a message, counted in Services::memory and in the metric.
//
//   MemoryShare share(services);
//   share.Set(buffer.capacity());   // whenever it changes; the destructor sets 0

#include <cstddef>
#include <cstdint>

#include "services/smtp-ingress/services.h"

namespace godwit::smtp_ingress {

class MemoryShare {
 public:
  explicit MemoryShare(Services* services) : services_(services) {}
  ~MemoryShare() { Set(0); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  void Set(size_t octets) {
    const auto now = static_cast<int64_t>(octets);
    if (now == counted_) return;
    services_->memory += now - counted_;
    services_->metrics->memory_bytes.Add(static_cast<double>(now - counted_));
    counted_ = now;
  }

 private:
  Services* const services_;
  int64_t counted_ = 0;
};

}  // namespace godwit::smtp_ingress
