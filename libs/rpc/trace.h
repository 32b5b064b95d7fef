#pragma once

namespace godwit::rpc {

// The metadata key of the trace id, in both directions.
inline constexpr char kTraceMetadata[] = "godwit-trace";

}  // namespace godwit::rpc
