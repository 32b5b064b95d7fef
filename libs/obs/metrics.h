#pragma once

// Metrics: counters, gauges and histograms in the one registry of the process, read by Prometheus.
//
//   // metrics.h of a service: every metric of it, with name, help and labels
//   struct Metrics {
//     obs::CounterFamily messages{"godwit_smtp_ingress_messages_total", "Messages by outcome.",
//                                 {{"outcome", {"accepted", "rejected", "deferred"}}}};
//     obs::Gauge sessions{"godwit_smtp_ingress_sessions", "Open sessions."};
//     obs::Histogram seconds{"godwit_smtp_ingress_verify_seconds", "Verify call.", obs::kSeconds};
//   };
//   metrics.messages.At({"accepted"}).Add();
//
// Names: godwit_<service>_<noun>_<unit> or _total. Labels are closed sets: every combination is
// there from the start with 0, so that rate() works; never an address, user or host. At() with a
// value outside the set is our own bug (GODWIT_CHECK): map what comes from a peer first.
// Two objects of one name are the same metric. Any thread; adding is a few atomic operations.

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace godwit::obs {

// Bucket bounds: from 1 ms to one minute; from 256 bytes to 64 MiB.
extern const std::vector<double> kSeconds;
extern const std::vector<double> kBytes;

struct Label {
  std::string name;
  std::vector<std::string> values;
};

class Counter {
 public:
  Counter(const std::string& name, const std::string& help);
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  void Add(double by = 1);  // by >= 0
  double value() const;

 private:
  prometheus::Counter* counter_;  // lives as long as the process
};

class Gauge {
 public:
  Gauge(const std::string& name, const std::string& help);
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  void Set(double value);
  void Add(double by = 1);  // below zero to subtract
  double value() const;

 private:
  prometheus::Gauge* gauge_;
};

class Histogram {
 public:
  // `bounds` ascend; a bucket for everything above is added.
  Histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds);
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  void Observe(double value);

 private:
  prometheus::Histogram* histogram_;
};

// One metric for each combination of label values.
template <typename Metric>
class Family {
 public:
  Family(const std::string& name, const std::string& help, std::vector<Label> labels,
         const std::vector<double>& bounds = {});
  // One value for each label, in their order.
  Metric& At(const std::vector<std::string_view>& values);

 private:
  std::map<std::vector<std::string>, Metric, std::less<>> metrics_;
};
using CounterFamily = Family<Counter>;
using GaugeFamily = Family<Gauge>;
using HistogramFamily = Family<Histogram>;

// All metrics as Prometheus text (format 0.0.4), the process's own included:
// process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, process_max_fds,
// process_start_time_seconds.
std::string ExposeMetrics();
// The Content-Type of that text.
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace godwit::obs
