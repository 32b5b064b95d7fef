#include "libs/dmarc/public_suffix.h"

#include <libpsl.h>

namespace godwit::dmarc {
namespace {

// The newer of the list in the library and the one the distribution updates. Loaded once.
const psl_ctx_t* List() {
  static const psl_ctx_t* const list = psl_latest(nullptr);
  return list;
}

}  // namespace

std::string OrganizationalDomainByList(std::string_view domain) {
  const std::string name(domain);
  const psl_ctx_t* list = List();
  const char* found = list == nullptr ? nullptr : psl_registrable_domain(list, name.c_str());
  return found == nullptr ? name : std::string(found);
}

}  // namespace godwit::dmarc
