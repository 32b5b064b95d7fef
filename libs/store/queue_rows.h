#pragma once

// The envelope of a queued message between its struct and the columns of queue_messages.

#include "libs/db/result.h"
#include "libs/store/queue.h"

// queue_id and then the columns that QueueEnvelopeFrom reads, for a SELECT.
#define GODWIT_QUEUE_ENVELOPE                                                                 \
  "queue_id, origin, coalesce(account_id, 0), client_address, auth_user, reverse_path, ret, " \
  "envid, requiretls, smtputf8, body_8bit, hold_until, trace_id, enqueued_at, expires_at"

namespace godwit::store {

// Without queue_id.
inline constexpr int kQueueEnvelopeColumns = 14;
QueueEnvelope QueueEnvelopeFrom(const db::Row& row, int column);

}  // namespace godwit::store
