#pragma once

// Blobs: the octets of an email, in chunks.
//
// Chunk 0 is the header (with the empty line that ends it), chunks 1, 2, ... are the body in pieces
// of kChunkSize octets each but the last, so that a range of the body is found without a table of
// offsets, a header fetch never reads a body, and nobody holds a whole message in memory. Chunks
// are compressed with zstd where that helps; sizes are always those before.
//
// A large body is *staged*: written chunk by chunk while it arrives, in short transactions, under a
// random id with an expiry. Delivery refers to it; SweepBlobs removes what nothing referred to.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "libs/base/random.h"
#include "libs/db/connection.h"
#include "libs/store/ids.h"

namespace godwit::store {

inline constexpr size_t kChunkSize = 256 * 1024;
// A header is one chunk and may be this long: more is InvalidArgument.
inline constexpr size_t kMaxHeaderSize = 1024 * 1024;

struct Chunk {
  int32_t seq = 0;
  int32_t size = 0;   // octets before compression
  int16_t codec = 0;  // 0 as it is, 1 zstd
  std::string data;
};

// Compresses where it helps.
Chunk EncodeChunk(int32_t seq, std::string_view octets);
// DataLoss when the chunk does not decode to `size` octets.
absl::StatusOr<std::string> DecodeChunk(const Chunk& chunk);

// Where chunks are kept. The default is PostgreSQL, in the same database as everything else; the
// interface is there for an object store.
class ChunkStore {
 public:
  virtual ~ChunkStore() = default;
  // Of a staged blob, which is kept until `expires` at least; FailedPrecondition when it is gone.
  virtual absl::Status Write(db::Connection& connection, AccountId account, BlobId blob,
                             const Chunk& chunk, absl::Time expires) = 0;
  // Chunks first..last that exist, ascending.
  virtual absl::StatusOr<std::vector<Chunk>> Read(db::Connection& connection, AccountId account,
                                                  BlobId blob, int32_t first, int32_t last) = 0;

  // The one in PostgreSQL; lives for ever.
  static ChunkStore* Postgres();
};

// Which octets of a message: sizes come from the entry (entries.h).
struct BlobRef {
  BlobId blob = BlobId::kNone;
  int64_t header_size = 0;
  int64_t size = 0;  // header and body
};

// At most this much a call, so that no reply is large: ask again with a higher offset.
inline constexpr size_t kMaxBlobRead = 4 * kChunkSize;

// Octets offset .. offset+length of the whole message (header first), cut at its end and at
// kMaxBlobRead; reads only the chunks needed. DataLoss when chunks are missing, NotFound when the
// blob is gone.
absl::StatusOr<std::string> ReadBlob(db::Connection& connection, AccountId account,
                                     const BlobRef& blob, int64_t offset, size_t length);

// The header of each blob in this order, in one round trip; empty where the blob is gone. At most
// 1,000 blobs; the sum of the headers is the caller's to bound.
absl::StatusOr<std::vector<std::string>> ReadHeaders(db::Connection& connection, AccountId account,
                                                     std::span<const BlobId> blobs);

// A body that is being staged.
struct StagedBlob {
  AccountId account = AccountId::kNone;
  BlobId blob = BlobId::kNone;
  int32_t next_seq = 1;
  int64_t body_size = 0;
};

// Begins one, to be swept after `expires` if nothing refers to it. The account is that of the first
// local recipient; further recipients get a copy at delivery.
absl::StatusOr<StagedBlob> StageBlob(db::Connection& connection, AccountId account,
                                     base::RandomSource* random, absl::Time expires);
// Adds the next chunk: kChunkSize octets, fewer only for the last one. A body that still arrives is
// kept until `expires` at least. FailedPrecondition when it has expired and was swept.
absl::Status StageChunk(db::Connection& connection, StagedBlob* staged, std::string_view octets,
                        absl::Time expires = absl::InfinitePast());
// Gives it up at once (the session ended); the sweep would do it too.
absl::Status DropStagedBlob(db::Connection& connection, const StagedBlob& staged);

// Removes expired staged blobs and the chunks of emails that were destroyed before `dead_before`,
// at most `limit` of each. Returns how many; with `limit` or more there may be others: call it
// again. Run from one daemon or several, every minute or so.
absl::StatusOr<int64_t> SweepBlobs(db::Connection& connection, absl::Time now,
                                   absl::Time dead_before, int limit = 100);

}  // namespace godwit::store
