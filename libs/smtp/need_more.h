#pragma once

// NeedMore: what every parser of this library says when it took all of its input and the thing it
// reads has not ended. Call again with the bytes that follow.

namespace godwit::smtp {

struct NeedMore {
  friend bool operator==(const NeedMore&, const NeedMore&) = default;
};

}  // namespace godwit::smtp
