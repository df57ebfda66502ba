// SPDX-License-Identifier: Apache-2.0
// One GPU under load behind the names of NVML (nvml.h, API version 13): enough to test the loader.
// Its power is 400 W: the energy counter follows the clock. With FAKE_NVML_OLD the names that came
// later are missing, and the ones that they replaced are there.
#include <atomic>
#include <chrono>
#include <cstring>

namespace {

constexpr int success = 0;
constexpr int invalid_argument = 2;
constexpr int not_supported = 3;
constexpr int not_found = 6;

struct Gpu {
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};

Gpu the_gpu;
std::atomic<int> users{0};

}  // namespace

extern "C" {

int nvmlInit_v2() {
    ++users;
    return success;
}

int nvmlShutdown() {
    --users;
    return success;
}

/// For the test: how many have started the library and not stopped it.
int fake_users() {
    return users;
}

const char* nvmlErrorString(int result) {
    return result == not_found ? "Not Found" : "Unknown Error";
}

int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
    if (std::strcmp(uuid, "GPU-0a") != 0) {
        return not_found;
    }
    *device = &the_gpu;
    return success;
}

int nvmlDeviceGetName(void* device, char* name, unsigned length) {
    if (device != &the_gpu || length < 12) {
        return invalid_argument;
    }
    std::strncpy(name, "NVIDIA H200", length);
    return success;
}

int nvmlDeviceGetClockInfo(void* device, unsigned kind, unsigned* mhz) {
    if (device != &the_gpu || (kind != 1 && kind != 2)) {
        return invalid_argument;
    }
    *mhz = kind == 1 ? 1755 : 3201;
    return success;
}

int nvmlDeviceGetMaxClockInfo(void* device, unsigned kind, unsigned* mhz) {
    if (device != &the_gpu || kind != 1) {
        return invalid_argument;
    }
    *mhz = 1980;
    return success;
}

int nvmlDeviceGetPowerUsage(void* /*device*/, unsigned* milliwatts) {
    *milliwatts = 400'000;
    return success;
}

int nvmlDeviceGetEnforcedPowerLimit(void* /*device*/, unsigned* milliwatts) {
    *milliwatts = 700'000;
    return success;
}

int nvmlDeviceGetTotalEnergyConsumption(void* /*device*/, unsigned long long* millijoules) {
    const auto run = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - the_gpu.start);
    *millijoules = 1'000'000 + static_cast<unsigned long long>(run.count()) * 400 / 1000;
    return success;
}

#ifdef FAKE_NVML_OLD

int nvmlDeviceGetTemperature(void* /*device*/, unsigned sensor, unsigned* celsius) {
    if (sensor != 0) {
        return invalid_argument;
    }
    *celsius = 61;
    return success;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void* /*device*/, unsigned long long* reasons) {
    *reasons = 0x4;  // power cap
    return success;
}

#else

struct Temperature {
    unsigned version;
    unsigned sensor;
    int celsius;
};

int nvmlDeviceGetTemperatureV(void* /*device*/, Temperature* temperature) {
    if (temperature->version != (12U | 0x1000000U) || temperature->sensor != 0) {
        return invalid_argument;
    }
    temperature->celsius = 62;
    return success;
}

int nvmlDeviceGetCurrentClocksEventReasons(void* /*device*/, unsigned long long* reasons) {
    *reasons = 0x4 | 0x20;  // power cap, thermal slowdown by the driver
    return success;
}

int nvmlDeviceGetMigMode(void* device, unsigned* now, unsigned* after_reset) {
    if (device != &the_gpu) {
        return not_supported;
    }
    *now = 0;
    *after_reset = 1;
    return success;
}

#endif
}
