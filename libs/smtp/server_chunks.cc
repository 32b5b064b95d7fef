// BDAT (RFC 3030): the command, the octets of its chunk, and the end of it.

#include <utility>

#include "libs/base/ascii.h"
#include "libs/smtp/server.h"

namespace godwit::smtp {
namespace {

// What a refused chunk costs us beside its octets.
constexpr uint64_t kChunkCost = 512;

}  // namespace

// RFC 3030 §2: chunk-size is 1*DIGIT; then " LAST" or nothing.
std::optional<ServerSession::Chunk> ServerSession::ParseChunk(std::string_view argument) {
  const size_t space = argument.find(' ');
  const std::optional<uint64_t> size = base::ParseDecimal(argument.substr(0, space));
  if (!size) return std::nullopt;
  Chunk chunk;
  chunk.size = chunk.left = *size;
  if (space != std::string_view::npos) {
    chunk.last = base::EqualsIgnoreCase(base::Trim(argument.substr(space)), "LAST");
    if (!chunk.last) return std::nullopt;
  }
  return chunk;
}

void ServerSession::JudgeChunk(Chunk* chunk) const {
  chunk->error = true;
  if (!Offers(Extension::kChunking)) {
    chunk->refused = MakeReply(ReplyKind::kNotImplemented);
  } else if (auto reply = CheckLogin()) {
    chunk->refused = *std::move(reply);
  } else if (state_ == State::kConnected) {
    chunk->refused = MakeReply(ReplyKind::kNeedGreeting);
  } else {
    // What follows is no fault: a client that pipelines sends more chunks before it knows that the
    // transaction has failed (RFC 3030 §2).
    chunk->error = false;
    if (!in_transaction()) chunk->refused = MakeReply(ReplyKind::kBadSequence, "Send MAIL first");
    if (state_ == State::kMail) chunk->refused = MakeReply(ReplyKind::kNoValidRecipients);
  }
}

ServerSession::Step ServerSession::HandleBdat(const Command& command) {
  chunk_ = ParseChunk(command.argument);
  if (!chunk_) {
    // Octets follow, and nobody knows how many: the next command can't be found.
    Cut(MakeReply(ReplyKind::kBadArguments, "Syntax: BDAT size [LAST], closing"), kProtocol);
    return std::nullopt;
  }
  JudgeChunk(&*chunk_);
  // A message that is refused all the same is read as far as one of DATA.
  const uint64_t before = chunk_->refused ? discarded_ : (data_ ? data_->size() : 0);
  if (before >= give_up() || chunk_->size > give_up() - before) {
    chunk_.reset();
    Cut(MakeReply(ReplyKind::kSizeExceeded), kProtocol);
    return std::nullopt;
  }
  if (chunk_->refused) {
    discarded_ += chunk_->size + kChunkCost;
    return std::nullopt;
  }
  if (state_ == State::kChunks) return std::nullopt;
  awaiting_ = Awaiting::kData;
  return BeginData{};
}

DataFraming ServerSession::Framing() const {
  if (!chunk_) return DataFraming::kDots;
  return body_ == BodyType::kBinaryMime ? DataFraming::kBinary : DataFraming::kChunks;
}

// The driver's answer to BeginData of the first chunk.
void ServerSession::BeginChunks(const Reply& reply) {
  if (reply.code == 354) {
    state_ = State::kChunks;
    data_.emplace(options_.data, Framing());
    return;
  }
  ResetTransaction();
  // RFC 3030 §2: the octets are taken and thrown away before the answer.
  chunk_->refused = reply;
  chunk_->own = chunk_->error = false;
}

ServerSession::Step ServerSession::NextChunk(std::string_view* in) {
  if (chunk_->left == 0) return EndChunk();
  if (in->empty()) return NeedInput{};
  std::string_view piece = in->substr(0, chunk_->left);
  const size_t before = piece.size();
  DataReader::Result result = NeedMore{};
  if (chunk_->refused) {
    piece = {};
  } else {
    result = data_->Next(&piece);
  }
  const size_t taken = before - piece.size();
  in->remove_prefix(taken);
  chunk_->left -= taken;
  if (auto* data = std::get_if<DataChunk>(&result)) return *data;
  return std::nullopt;
}

// All octets of the chunk are there.
ServerSession::Step ServerSession::EndChunk() {
  if (chunk_->refused) {
    const Chunk chunk = *std::exchange(chunk_, std::nullopt);
    if (chunk.error) return Error(*chunk.refused);
    if (chunk.own) {
      SayOwn(*chunk.refused);
    } else {
      Say(*chunk.refused);
    }
    return std::nullopt;
  }
  if (chunk_->last && data_->error() == DataError::kNone && data_->in_line()) {
    // RFC 5321 §2.3.8: a message is made of lines; of text, the last one's end may be missing here.
    std::string_view end = "\r\n";
    auto result = data_->Next(&end);
    if (auto* data = std::get_if<DataChunk>(&result)) return *data;
  }
  const Chunk chunk = *std::exchange(chunk_, std::nullopt);
  if (chunk.last || data_->error() != DataError::kNone) return EndOfData();
  const Reply reply = MakeReply(ReplyKind::kOk, std::to_string(chunk.size) + " octets received");
  if (chunk.size == 0) return Idle(reply);
  Say(reply);
  return std::nullopt;
}

}  // namespace godwit::smtp
