#pragma once

// RSA keys for tests, made when they are asked for: no key lies in the tree.

#include <string>

namespace godwit::dkim {

// A PKCS #8 PEM of a fresh key; the same text for the same `bits` during one run.
const std::string& TestRsaPem(int bits);

}  // namespace godwit::dkim
