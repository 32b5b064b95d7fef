#pragma once

// MetricsListener: answers Prometheus and Kubernetes over HTTP/1.1, one request a connection.
//
//   GET /metrics   all metrics of the process
//   GET /healthz   200 while the process lives
//   GET /readyz    200 while the service serves, else 503
//
// It has a thread and blocking sockets of its own, so that it answers when reactors are busy. For
// the inside of a cluster only: no TLS, requests one after the other, two seconds each.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

namespace godwit::runtime {

class MetricsListener {
 public:
  // `listen`: "ADDRESS:PORT", an empty address for all. InvalidArgument when it can't be read,
  // Unavailable when it can't be bound.
  static absl::StatusOr<std::unique_ptr<MetricsListener>> Start(const std::string& listen);
  ~MetricsListener();
  MetricsListener(const MetricsListener&) = delete;
  MetricsListener& operator=(const MetricsListener&) = delete;

  uint16_t port() const { return port_; }
  void SetReady(bool ready) { ready_ = ready; }

 private:
  MetricsListener(int listener, uint16_t port);
  void Run();
  void Serve(int connection);
  std::string Answer(const std::string& request) const;

  int listener_;
  uint16_t port_;
  std::atomic<bool> ready_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace godwit::runtime
