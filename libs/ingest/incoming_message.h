#pragma once

// IncomingMessage: collects a message that arrives piece by piece for the store: header apart from
// body, the body in chunks of the store's size so that it can be staged, MIME read on the way.
//
//   ingest::IncomingMessage message(limits);
//   message.Feed(chunk);                                  // CRLF line ends
//   while (message.has_full_chunk()) Stage(message.TakeChunk());
//   ...
//   store::Delivery delivery = message.Finish(new_header); // all fields of the message filled in
//
// No I/O. Memory: the header (bounded), at most kInMemory and one piece more of body, and what the
// MIME parser keeps. One thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "libs/mime/parser.h"
#include "libs/store/delivery.h"

namespace godwit::ingest {

// A body of at most this many octets is never staged.
inline constexpr size_t kInMemory = store::kChunkSize;

class IncomingMessage {
 public:
  struct Limits {
    // Octets of the header; more makes header_too_large(). Below the store's kMaxHeaderSize, so
    // that fields can be put in front.
    size_t header = 512 * 1024;
  };

  explicit IncomingMessage(const Limits& limits);
  IncomingMessage() : IncomingMessage(Limits()) {}

  void Feed(std::string_view bytes);

  // The message can not be stored; further bytes are dropped.
  bool header_too_large() const { return header_too_large_; }
  // The empty line after the header has come.
  bool header_complete() const { return in_body_; }
  // The header so far, with its empty line when complete.
  const std::string& header() const { return header_; }
  uint64_t size() const { return size_; }
  // Octets held now: header, body, and what the parser keeps (an estimate).
  size_t memory() const;

  // The body is longer than may stay in memory: take a chunk and stage it.
  bool has_full_chunk() const { return body().size() > kInMemory; }
  // What is here of the body: all of it as long as nothing was taken.
  std::string_view body() const { return std::string_view(body_).substr(taken_); }
  // The next store::kChunkSize octets of the body.
  std::string TakeChunk();
  // At the end, when chunks were staged: what is left, at most a chunk.
  std::string TakeRest();

  // Everything a Delivery says of the message but targets, staged and received. `header` is what is
  // stored: this message's with fields removed and put in front, ended by an empty line. Call once,
  // after the last Feed.
  store::Delivery Finish(std::string header);

 private:
  void FeedHeader(std::string_view bytes);

  Limits limits_;
  mime::Parser parser_;
  std::string header_;
  std::string body_;
  size_t taken_ = 0;  // of body_, to be staged
  uint64_t size_ = 0;
  bool in_body_ = false;
  bool header_too_large_ = false;
};

// Fills the searching and threading fields of `delivery` from a parsed message. Whatever octets the
// message has, they are good UTF-8 without NUL: the store takes nothing else.
void DescribeMessage(const mime::Summary& summary, store::Delivery* delivery);

}  // namespace godwit::ingest
