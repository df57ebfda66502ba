// SPDX-License-Identifier: Apache-2.0
// One version of a loop per x86-64 level, chosen when the program starts.
#pragma once

// Loops inside must not contain OpenMP regions: those are compiled for the default level only.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define TD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TD_CLONES
#endif
