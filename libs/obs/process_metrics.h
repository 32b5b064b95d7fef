#pragma once

// The metrics of the process itself, under Prometheus' customary names, read from /proc.

#include <string>

namespace godwit::obs {

// As text of the exposition format. What can't be read is left out.
std::string ProcessMetrics();

}  // namespace godwit::obs
