#pragma once

namespace godwit::runtime {

// Of the whole suite: all daemons and godwitctl are built from one tree.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace godwit::runtime
