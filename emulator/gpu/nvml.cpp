// SPDX-License-Identifier: Apache-2.0
// Names, types and values are those of nvml.h, API version 13 (github.com/NVIDIA/go-nvml,
// pkg/nvml/nvml.h); what is used here has had the same ABI since version 11.
#include "emulator/gpu/nvml.hpp"

#include <array>
#include <string_view>
#include <utility>

#include <dlfcn.h>
#include <fmt/format.h>

namespace traindyno {

/// Functions are null where the installed version has none.
struct detail::NvmlLibrary {
    using Gpu = void*;   // nvmlDevice_t, a pointer to an opaque structure
    using Result = int;  // nvmlReturn_t

    /// nvmlTemperature_v1_t
    struct Temperature {
        unsigned version =
            sizeof(Temperature) | (1U << 24U);  // NVML_STRUCT_VERSION(Temperature, 1)
        unsigned sensor = 0;                    // NVML_TEMPERATURE_GPU
        int celsius = 0;
    };

    Result (*init)() = nullptr;
    Result (*shutdown)() = nullptr;
    const char* (*error_text)(Result) = nullptr;
    Result (*handle_by_uuid)(const char*, Gpu*) = nullptr;
    Result (*name)(Gpu, char*, unsigned) = nullptr;
    Result (*clock)(Gpu, unsigned kind, unsigned* mhz) = nullptr;
    Result (*max_clock)(Gpu, unsigned kind, unsigned* mhz) = nullptr;
    Result (*power)(Gpu, unsigned* milliwatts) = nullptr;
    Result (*power_limit)(Gpu, unsigned* milliwatts) = nullptr;
    Result (*energy)(Gpu, unsigned long long* millijoules) = nullptr;
    Result (*temperature)(Gpu, unsigned sensor, unsigned* celsius) = nullptr;
    Result (*temperature_v)(Gpu, Temperature*) = nullptr;
    Result (*clock_reasons)(Gpu, unsigned long long*) = nullptr;
    Result (*mig_mode)(Gpu, unsigned* now, unsigned* after_reset) = nullptr;
    bool started = false;

    NvmlLibrary() = default;
    NvmlLibrary(const NvmlLibrary&) = delete;
    NvmlLibrary& operator=(const NvmlLibrary&) = delete;
    NvmlLibrary(NvmlLibrary&&) = delete;
    NvmlLibrary& operator=(NvmlLibrary&&) = delete;

    ~NvmlLibrary() {
        if (started) {
            (void)shutdown();
        }
    }
};

namespace {

using Library = detail::NvmlLibrary;

constexpr Library::Result success = 0;

// nvmlClockType_t
constexpr unsigned clock_sm = 1;
constexpr unsigned clock_memory = 2;

/// The first of `names` that the library has; null when it has none.
template <class Function, class... Names>
void resolve(void* library, Function& function, Names... names) {
    for (const char* name : {names...}) {
        function = reinterpret_cast<Function>(dlsym(library, name));
        if (function != nullptr) {
            return;
        }
    }
}

void resolve_all(void* from, Library& library) {
    resolve(from, library.init, "nvmlInit_v2");
    resolve(from, library.shutdown, "nvmlShutdown");
    resolve(from, library.error_text, "nvmlErrorString");
    resolve(from, library.handle_by_uuid, "nvmlDeviceGetHandleByUUID");
    resolve(from, library.name, "nvmlDeviceGetName");
    resolve(from, library.clock, "nvmlDeviceGetClockInfo");
    resolve(from, library.max_clock, "nvmlDeviceGetMaxClockInfo");
    resolve(from, library.power, "nvmlDeviceGetPowerUsage");
    resolve(from, library.power_limit, "nvmlDeviceGetEnforcedPowerLimit");
    resolve(from, library.energy, "nvmlDeviceGetTotalEnergyConsumption");
    resolve(from, library.temperature, "nvmlDeviceGetTemperature");
    resolve(from, library.temperature_v, "nvmlDeviceGetTemperatureV");
    resolve(from,
            library.clock_reasons,
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetCurrentClocksThrottleReasons");  // its name before driver 535
    resolve(from, library.mig_mode, "nvmlDeviceGetMigMode");
}

std::string error_text(const Library& library, Library::Result result) {
    return library.error_text == nullptr ? fmt::format("error {}", result)
                                         : library.error_text(result);
}

template <class Value, class Function, class... Arguments>
std::optional<Value> ask(Function function, Arguments... arguments) {
    Value value{};
    if (function == nullptr || function(arguments..., &value) != success) {
        return std::nullopt;
    }
    return value;
}

template <class Value>
std::optional<double> scaled(std::optional<Value> value, double unit) {
    return value ? std::optional{static_cast<double>(*value) * unit} : std::nullopt;
}

constexpr double milli = 1e-3;

}  // namespace

NvmlGpu::NvmlGpu(std::shared_ptr<const detail::NvmlLibrary> library, void* handle)
    : library_(std::move(library)), handle_(handle) {}

std::optional<std::string> NvmlGpu::name() const {
    std::array<char, 96> buffer{};  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
    if (library_->name == nullptr ||
        library_->name(handle_, buffer.data(), buffer.size()) != success) {
        return std::nullopt;
    }
    return buffer.data();
}

std::optional<double> NvmlGpu::sm_clock_mhz() const {
    return scaled(ask<unsigned>(library_->clock, handle_, clock_sm), 1);
}

std::optional<double> NvmlGpu::memory_clock_mhz() const {
    return scaled(ask<unsigned>(library_->clock, handle_, clock_memory), 1);
}

std::optional<double> NvmlGpu::max_sm_clock_mhz() const {
    return scaled(ask<unsigned>(library_->max_clock, handle_, clock_sm), 1);
}

std::optional<double> NvmlGpu::power_watts() const {
    return scaled(ask<unsigned>(library_->power, handle_), milli);
}

std::optional<double> NvmlGpu::enforced_power_limit_watts() const {
    return scaled(ask<unsigned>(library_->power_limit, handle_), milli);
}

std::optional<double> NvmlGpu::temperature_c() const {
    // Version 13 calls the first one deprecated.
    if (library_->temperature != nullptr) {
        return scaled(ask<unsigned>(library_->temperature, handle_, Library::Temperature{}.sensor),
                      1);
    }
    const auto reading = ask<Library::Temperature>(library_->temperature_v, handle_);
    return reading ? std::optional<double>{reading->celsius} : std::nullopt;
}

std::optional<double> NvmlGpu::energy_joules() const {
    return scaled(ask<unsigned long long>(library_->energy, handle_), milli);
}

std::optional<std::uint64_t> NvmlGpu::clock_reasons() const {
    return ask<unsigned long long>(library_->clock_reasons, handle_);
}

std::optional<MigMode> NvmlGpu::mig_mode() const {
    unsigned after_reset = 0;
    unsigned current = 0;
    if (library_->mig_mode == nullptr ||
        library_->mig_mode(handle_, &current, &after_reset) != success) {
        return std::nullopt;
    }
    return current == 0 ? MigMode::off : MigMode::on;
}

Nvml::Nvml(const std::string& library) {
    // Never closed: the driver's library may leave exit handlers behind.
    void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        problem_ = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread
        return;
    }
    const auto loaded = std::make_shared<Library>();
    resolve_all(handle, *loaded);
    if (loaded->init == nullptr || loaded->shutdown == nullptr ||
        loaded->handle_by_uuid == nullptr) {
        problem_ = library + ": has not the functions of NVML";
        return;
    }
    if (const Library::Result result = loaded->init(); result != success) {
        problem_ = fmt::format("{}: nvmlInit: {}", library, error_text(*loaded, result));
        return;
    }
    loaded->started = true;
    library_ = loaded;
}

NvmlGpuSearch Nvml::gpu(const std::string& uuid) const {
    if (library_ == nullptr) {
        return {.problem = problem_};
    }
    Library::Gpu device = nullptr;
    if (const Library::Result result = library_->handle_by_uuid(uuid.c_str(), &device);
        result != success) {
        return {.problem = fmt::format("NVML: {}: {}", uuid, error_text(*library_, result))};
    }
    return {.gpu = NvmlGpu(library_, device)};
}

std::vector<std::string> slowdown_names(std::uint64_t clock_reasons) {
    // nvmlClocksEventReason...; bit 0 is "idle".
    constexpr std::array<std::string_view, 9> names{"idle",
                                                    "application clocks",
                                                    "power cap",
                                                    "hardware slowdown",
                                                    "sync boost",
                                                    "thermal slowdown by the driver",
                                                    "thermal slowdown by the hardware",
                                                    "power brake",
                                                    "display clocks"};
    std::vector<std::string> found;
    for (std::size_t bit = 1; bit < 64; ++bit) {
        if ((clock_reasons >> bit & 1U) != 0) {
            found.push_back(bit < names.size() ? std::string(names[bit])
                                               : fmt::format("clock reason bit {}", bit));
        }
    }
    return found;
}

}  // namespace traindyno
