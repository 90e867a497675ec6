// Tells series apart by a hash of their labels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/numeric/int128.h"
#include "absl/strings/string_view.h"

namespace insula::remote_write {

// Of one label: a whole field of a TimeSeries message. Seeded for this process,
// so that no sender can choose labels that collide. The same label in another
// encoding, which no client makes, is another label.
//
// The hash of a series is the sum of those of its labels, whose order is fixed
// and which are all different: so that it follows from that of its neighbour by
// the few labels that differ, and from that of the series as it was received by
// those that are added or dropped. A sum is as good as a hash of all, as long
// as nobody knows its terms.
uint64_t HashOfLabel(absl::string_view field);

// Of kMinBlockBytes to kMaxBlockBytes bytes. Two different texts of one size
// have the same hash with a probability of at most 2^-64, whoever chooses them
// without knowing the keys, which are random and those of this process; so
// compare the sizes, too.
//
// It is NH of 64-bit words, as in UMAC and VMAC: the sum of the products
// (a + key) * (b + key') over all pairs of words, where a + key is modulo 2^64
// and the sum modulo 2^128. The last 16 bytes are the last pair, which may
// overlap the one before: as texts have one size, that changes nothing. The
// bound is theorem 4.2 of Black, Halevi, Krawczyk, Krovetz, Rogaway: "UMAC:
// Fast and Secure Message Authentication", CRYPTO 1999.
absl::uint128 HashOfBlock(absl::string_view block);
inline constexpr size_t kMinBlockBytes = 16;
inline constexpr size_t kMaxBlockBytes = 2048;

// A random number from the system.
absl::uint128 RandomSalt();

}  // namespace insula::remote_write
