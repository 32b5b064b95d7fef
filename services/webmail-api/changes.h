#pragma once

// What all types do alike: /changes from the change log, and the window of a /query.

#include <string>
#include <vector>

#include "libs/base/task.h"
#include "libs/jmap/standard.h"
#include "libs/store/jmap_changes.h"
#include "services/webmail-api/calls.h"

namespace godwit::webmail_api {

// RFC 8620 §5.2. `*changes` is what was found.
base::Task<jmap::Result> RunChanges(CallContext* context, jmap::json::object arguments,
                                    store::JmapType type, store::JmapChanges* changes);

// RFC 8620 §5.5: the answer, when all ids that pass are known. anchorNotFound.
jmap::Result FinishQuery(const CallContext& context, const jmap::QueryArguments& query,
                         const std::vector<std::string>& ids, const std::string& state);

}  // namespace godwit::webmail_api
