#pragma once

// ForEachSplit: feeds one input in every way a network may cut it.
//
//   testing::ForEachSplit("NOOP\r\n", [&](const testing::Chunks& chunks) {
//     CHECK(ParseAll(chunks) == expected);
//   });
//
// Calls `fn` with: the whole; byte by byte; every cut in two (for inputs over 512 bytes 256 of
// them, evenly spread, and all around line ends); 16 random cuts in many, from a fixed seed, so
// that a failure comes again. The chunks are views into `wire`.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace godwit::testing {

using Chunks = std::vector<std::string_view>;

void ForEachSplit(std::string_view wire, const std::function<void(const Chunks&)>& fn);

// "3+1+8", to CAPTURE which split fails.
std::string Describe(const Chunks& chunks);

}  // namespace godwit::testing
