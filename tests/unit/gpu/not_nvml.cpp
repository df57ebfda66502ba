// SPDX-License-Identifier: Apache-2.0
// A library that loads and is not NVML.

extern "C" int unrelated() {
    return 0;
}
