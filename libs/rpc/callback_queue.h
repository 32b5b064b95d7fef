#pragma once

namespace godwit::rpc {

// gRPC 1.51 counts who uses its shared queue for callbacks, and takes it down with the last channel
// or server. A new one that comes at that moment makes it free the queue twice (seen as a heap
// corruption when channels came and went). So one user stays for as long as the process lives. Any
// number of times, any thread.
void KeepCallbackQueue();

}  // namespace godwit::rpc
