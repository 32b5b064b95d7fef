#include "libs/obs/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "libs/base/check.h"
#include "libs/obs/process_metrics.h"

namespace godwit::obs {
namespace {

prometheus::Registry& Registry() {
  static auto* registry = new prometheus::Registry;
  return *registry;
}

template <typename Metric>
struct Maker;

template <>
struct Maker<Counter> {
  static Counter Make(const std::string& name, const std::string& help,
                      const prometheus::Labels& labels, const std::vector<double>&) {
    return Counter(
        &prometheus::BuildCounter().Name(name).Help(help).Register(Registry()).Add(labels));
  }
};

template <>
struct Maker<Gauge> {
  static Gauge Make(const std::string& name, const std::string& help,
                    const prometheus::Labels& labels, const std::vector<double>&) {
    return Gauge(&prometheus::BuildGauge().Name(name).Help(help).Register(Registry()).Add(labels));
  }
};

template <>
struct Maker<Histogram> {
  static Histogram Make(const std::string& name, const std::string& help,
                        const prometheus::Labels& labels, const std::vector<double>& bounds) {
    return Histogram(&prometheus::BuildHistogram()
                          .Name(name)
                          .Help(help)
                          .Register(Registry())
                          .Add(labels, bounds));
  }
};

// Every combination of one value for each label.
std::vector<std::vector<std::string>> Combinations(const std::vector<Label>& labels) {
  std::vector<std::vector<std::string>> all = {{}};
  for (const Label& label : labels) {
    std::vector<std::vector<std::string>> longer;
    for (const auto& start : all) {
      for (const std::string& value : label.values) {
        longer.push_back(start);
        longer.back().push_back(value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

}  // namespace

const std::vector<double> kSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                      0.5,   1,      2.5,   5,    10,    30,   60};
const std::vector<double> kBytes = {256,    1024,    4096,    16384,    65536,
                                    262144, 1048576, 4194304, 16777216, 67108864};

Counter::Counter(const std::string& name, const std::string& help)
    : Counter(Maker<Counter>::Make(name, help, {}, {})) {}
void Counter::Add(double by) { counter_->Increment(by); }
double Counter::value() const { return counter_->Value(); }

Gauge::Gauge(const std::string& name, const std::string& help)
    : Gauge(Maker<Gauge>::Make(name, help, {}, {})) {}
void Gauge::Set(double value) { gauge_->Set(value); }
void Gauge::Add(double by) { gauge_->Increment(by); }
double Gauge::value() const { return gauge_->Value(); }

Histogram::Histogram(const std::string& name, const std::string& help,
                     const std::vector<double>& bounds)
    : Histogram(Maker<Histogram>::Make(name, help, {}, bounds)) {}
void Histogram::Observe(double value) { histogram_->Observe(value); }

template <typename Metric>
Family<Metric>::Family(const std::string& name, const std::string& help, std::vector<Label> labels,
                       const std::vector<double>& bounds) {
  for (const auto& values : Combinations(labels)) {
    prometheus::Labels named;
    for (size_t i = 0; i < values.size(); ++i) named[labels[i].name] = values[i];
    metrics_.emplace(values, Maker<Metric>::Make(name, help, named, bounds));
  }
}

template <typename Metric>
Metric& Family<Metric>::At(const std::vector<std::string_view>& values) {
  const auto found = metrics_.find(std::vector<std::string>(values.begin(), values.end()));
  GODWIT_CHECK(found != metrics_.end());
  return found->second;
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

std::string ExposeMetrics() {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, Registry().Collect());
  return text.str() + ProcessMetrics();
}

}  // namespace godwit::obs
