#include "libs/store/queue_rows.h"

#include <string>

namespace godwit::store {
namespace {

QueueOrigin OriginFrom(std::string_view name) {
  for (QueueOrigin origin : {QueueOrigin::kSubmission, QueueOrigin::kForward, QueueOrigin::kDsn,
                             QueueOrigin::kReport, QueueOrigin::kLocal, QueueOrigin::kRelay}) {
    if (name == QueueOriginName(origin)) return origin;
  }
  // A newer version's, which runs beside this one. Nothing depends on it but the way, and a
  // forwarded message's is the one where everything is asked once more.
  return QueueOrigin::kForward;
}

}  // namespace

QueueEnvelope QueueEnvelopeFrom(const db::Row& row, int column) {
  QueueEnvelope envelope;
  envelope.origin = OriginFrom(row.Text(column));
  envelope.account = AccountId{row.Int(column + 1)};
  envelope.client_address = row.Text(column + 2);
  envelope.user = row.Text(column + 3);
  envelope.reverse_path = row.Text(column + 4);
  envelope.ret = row.Text(column + 5);
  envelope.envid = row.Text(column + 6);
  envelope.requiretls = row.Bool(column + 7);
  envelope.smtputf8 = row.Bool(column + 8);
  envelope.body_8bit = row.Bool(column + 9);
  envelope.hold_until = row.OptionalTime(column + 10);
  envelope.trace_id = row.Text(column + 11);
  envelope.enqueued_at = row.Time(column + 12);
  envelope.expires_at = row.Time(column + 13);
  return envelope;
}

}  // namespace godwit::store
