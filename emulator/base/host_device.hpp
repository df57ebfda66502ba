// SPDX-License-Identifier: Apache-2.0
// Functions that host and device code share.
#pragma once

// Always inlined: on the host they go into loops that are compiled for several processor levels.
#ifdef __CUDACC__
#define TD_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define TD_HOST_DEVICE [[gnu::always_inline]] inline
#endif
