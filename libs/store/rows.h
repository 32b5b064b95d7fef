#pragma once

// Between the store's types and the columns of its statements.

#include <string_view>
#include <vector>

#include "libs/db/params.h"
#include "libs/db/result.h"
#include "libs/store/ids.h"
#include "libs/store/uid_ranges.h"

namespace godwit::store {

// Appends a set as two parameters: the ranges' first UIDs, and their last ones.
void AppendRanges(db::Params* params, const UidRanges& ranges);

// Two columns of UIDs, as above, to a set.
UidRanges RangesFrom(const db::Row& row, int first_column, int last_column);

// A column of UIDs.
std::vector<Uid> UidsFrom(const db::Row& row, int column);

// A modseq column and a watchers column.
Change ChangeFrom(const db::Row& row, int modseq_column, int watchers_column);

}  // namespace godwit::store
