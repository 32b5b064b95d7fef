#!/bin/sh
# Writes the C++ source that holds the migrations given as arguments (NNNN_name.sql, in order).
set -eu
echo '#include "libs/store/migrate.h"'
echo 'namespace godwit::store {'
echo 'const std::vector<Migration>& Migrations() {'
echo '  static const std::vector<Migration>& all = *new std::vector<Migration>{'
for file in "$@"; do
  base=$(basename "$file" .sql)
  version=$(echo "${base%%_*}" | sed 's/^0*//')
  printf '{%s, "%s", R"gwsql(' "$version" "${base#*_}"
  cat "$file"
  echo ')gwsql"},'
done
echo '  };'
echo '  return all;'
echo '}'
echo '}  // namespace godwit::store'
