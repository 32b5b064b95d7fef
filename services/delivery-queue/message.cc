#include "services/delivery-queue/message.h"

namespace godwit::delivery_queue {

JobResult AllOf(const Job& job, RecipientResult::State state, const smtp::Reply& reply,
                const char* at) {
  JobResult result;
  for (size_t recipient : job.recipients) {
    result.recipients.push_back({.recipient = recipient,
                                 .state = state,
                                 .reply = reply,
                                 .ours = true,
                                 .host = "",
                                 .dsn_taken = false,
                                 .at = at});
  }
  return result;
}

}  // namespace godwit::delivery_queue
