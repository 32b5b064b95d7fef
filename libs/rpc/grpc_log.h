#pragma once

namespace godwit::rpc {

// What gRPC says of itself (failed handshakes of strangers above all) becomes our log lines, with
// their limit on repetition. Any number of times, any thread.
void InstallLog();

}  // namespace godwit::rpc
