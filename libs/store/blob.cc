#include "libs/store/blob.h"

#include <zstd.h>

#include <algorithm>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "libs/base/status.h"

namespace godwit::store {
namespace {

using db::Access;
using db::Params;
using db::Scope;

const db::Statement kWrite("blob_write", Scope::kOneAccount, Access::kWrite,
                           "SELECT stage_chunk($1, $2, $3, $4, $5, $6, $7)");

const db::Statement kRead("blob_read", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT seq, size, codec, data FROM blob_chunks
  WHERE account_id = $1 AND blob_id = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq)sql");

const db::Statement kHeaders("blob_headers", Scope::kOneAccount, Access::kRead, R"sql(
  SELECT blob_id, seq, size, codec, data FROM blob_chunks
  WHERE account_id = $1 AND blob_id = ANY ($2) AND seq = 0)sql");

const db::Statement kStage("blob_stage", Scope::kOneAccount, Access::kWrite,
                           "SELECT stage_blob($1, $2, $3)");

const db::Statement kDrop("blob_drop", Scope::kOneAccount, Access::kWrite,
                          "SELECT drop_staged_blob($1, $2)");

const db::Statement kSweep("blob_sweep", Scope::kBatch, Access::kWrite,
                           "SELECT sweep_blobs($1, $2, $3)");

constexpr int16_t kPlain = 0;
constexpr int16_t kZstd = 1;
// Below this a frame's overhead eats what is won.
constexpr size_t kMinCompress = 512;
constexpr int kLevel = 1;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

// Making a context costs more than compressing a small mail: one a thread.
ZSTD_CCtx* Context() {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  return context.get();
}

Chunk ChunkFrom(const db::Row& row, int column) {
  return {static_cast<int32_t>(row.Int(column)), static_cast<int32_t>(row.Int(column + 1)),
          static_cast<int16_t>(row.Int(column + 2)), std::string(row.Bytes(column + 3))};
}

class PostgresChunkStore : public ChunkStore {
 public:
  absl::Status Write(db::Connection& connection, AccountId account, BlobId blob, const Chunk& chunk,
                     absl::Time expires) override {
    Params params;
    params.Int(ToInt(account)).Int(ToInt(blob)).Int(chunk.seq).Int(chunk.size).Int(chunk.codec);
    params.Bytes(chunk.data).Time(expires);
    return connection.Execute(kWrite, params).status();
  }

  absl::StatusOr<std::vector<Chunk>> Read(db::Connection& connection, AccountId account,
                                          BlobId blob, int32_t first, int32_t last) override {
    Params params;
    params.Int(ToInt(account)).Int(ToInt(blob)).Int(first).Int(last);
    GODWIT_ASSIGN_OR_RETURN(auto rows, connection.Execute(kRead, params));
    std::vector<Chunk> chunks;
    for (db::Row row : rows) chunks.push_back(ChunkFrom(row, 0));
    return chunks;
  }
};

// The chunk that holds an octet of the message, and where in the message the chunk begins.
struct Place {
  int32_t seq = 0;
  int64_t begin = 0;
};

Place PlaceOf(const BlobRef& blob, int64_t offset) {
  if (offset < blob.header_size) return {};
  const int64_t nth = (offset - blob.header_size) / static_cast<int64_t>(kChunkSize);
  return {static_cast<int32_t>(nth + 1), blob.header_size + nth * static_cast<int64_t>(kChunkSize)};
}

}  // namespace

Chunk EncodeChunk(int32_t seq, std::string_view octets) {
  Chunk chunk{seq, static_cast<int32_t>(octets.size()), kPlain, {}};
  if (octets.size() >= kMinCompress) {
    chunk.data.resize(ZSTD_compressBound(octets.size()));
    const size_t size = ZSTD_compressCCtx(Context(), chunk.data.data(), chunk.data.size(),
                                          octets.data(), octets.size(), kLevel);
    if (!ZSTD_isError(size) && size + size / 8 < octets.size()) {
      chunk.codec = kZstd;
      chunk.data.resize(size);
      return chunk;
    }
  }
  chunk.data = octets;
  return chunk;
}

absl::StatusOr<std::string> DecodeChunk(const Chunk& chunk) {
  if (chunk.codec == kPlain && chunk.data.size() == static_cast<size_t>(chunk.size)) {
    return chunk.data;
  }
  if (chunk.codec != kZstd || chunk.size < 0) return base::DataLoss("chunk of unknown form");
  std::string octets(static_cast<size_t>(chunk.size), '\0');
  const size_t size =
      ZSTD_decompress(octets.data(), octets.size(), chunk.data.data(), chunk.data.size());
  if (ZSTD_isError(size) || size != octets.size()) return base::DataLoss("chunk does not decode");
  return octets;
}

ChunkStore* ChunkStore::Postgres() {
  static PostgresChunkStore store;
  return &store;
}

absl::StatusOr<std::string> ReadBlob(db::Connection& connection, AccountId account,
                                     const BlobRef& blob, int64_t offset, size_t length) {
  if (offset < 0) return base::InvalidArgument("negative offset");
  if (offset >= blob.size || length == 0) return std::string();
  const int64_t bound = static_cast<int64_t>(std::min(length, kMaxBlobRead));
  const int64_t end = std::min(blob.size, offset + bound);
  const Place first = PlaceOf(blob, offset);
  const Place last = PlaceOf(blob, end - 1);
  GODWIT_ASSIGN_OR_RETURN(auto chunks, ChunkStore::Postgres()->Read(connection, account, blob.blob,
                                                                    first.seq, last.seq));
  if (chunks.empty()) return base::NotFound("blob is gone");
  std::string octets;
  int32_t expected = first.seq;
  for (const Chunk& chunk : chunks) {
    // An empty header has its chunk, too; a body's chunks follow without a gap.
    if (chunk.seq != expected++) return base::DataLoss("chunk is missing");
    GODWIT_ASSIGN_OR_RETURN(std::string decoded, DecodeChunk(chunk));
    octets += decoded;
  }
  if (static_cast<int64_t>(octets.size()) < end - first.begin) {
    return base::DataLoss("blob is shorter than its email says");
  }
  return octets.substr(static_cast<size_t>(offset - first.begin),
                       static_cast<size_t>(end - offset));
}

absl::StatusOr<std::vector<std::string>> ReadHeaders(db::Connection& connection, AccountId account,
                                                     std::span<const BlobId> blobs) {
  std::vector<int64_t> ids;
  for (BlobId blob : blobs) ids.push_back(ToInt(blob));
  GODWIT_ASSIGN_OR_RETURN(auto rows,
                          connection.Execute(kHeaders, Params().Int(ToInt(account)).Ints(ids)));
  absl::flat_hash_map<int64_t, std::string> found;
  for (db::Row row : rows) {
    GODWIT_ASSIGN_OR_RETURN(found[row.Int(0)], DecodeChunk(ChunkFrom(row, 1)));
  }
  std::vector<std::string> headers;
  headers.reserve(ids.size());
  for (int64_t id : ids) headers.push_back(found[id]);
  return headers;
}

absl::StatusOr<StagedBlob> StageBlob(db::Connection& connection, AccountId account,
                                     base::RandomSource* random, absl::Time expires) {
  StagedBlob staged;
  staged.account = account;
  staged.blob = BlobId{random->Id63()};
  Params params;
  params.Int(ToInt(account)).Int(ToInt(staged.blob)).Time(expires);
  GODWIT_RETURN_IF_ERROR(connection.Execute(kStage, params).status());
  return staged;
}

absl::Status StageChunk(db::Connection& connection, StagedBlob* staged, std::string_view octets,
                        absl::Time expires) {
  const bool short_before = staged->body_size % static_cast<int64_t>(kChunkSize) != 0;
  if (octets.empty() || octets.size() > kChunkSize || short_before) {
    return base::InvalidArgument("chunks are whole but the last one");
  }
  const Chunk chunk = EncodeChunk(staged->next_seq, octets);
  GODWIT_RETURN_IF_ERROR(
      ChunkStore::Postgres()->Write(connection, staged->account, staged->blob, chunk, expires));
  ++staged->next_seq;
  staged->body_size += static_cast<int64_t>(octets.size());
  return absl::OkStatus();
}

absl::Status DropStagedBlob(db::Connection& connection, const StagedBlob& staged) {
  Params params;
  params.Int(ToInt(staged.account)).Int(ToInt(staged.blob));
  return connection.Execute(kDrop, params).status();
}

absl::StatusOr<int64_t> SweepBlobs(db::Connection& connection, absl::Time now,
                                   absl::Time dead_before, int limit) {
  Params params;
  params.Time(now).Time(dead_before).Int(limit);
  return db::RetryAborted(connection, [&](db::Connection& c) -> absl::StatusOr<int64_t> {
    GODWIT_ASSIGN_OR_RETURN(auto rows, c.Execute(kSweep, params));
    return rows[0].Int(0);
  });
}

}  // namespace godwit::store
