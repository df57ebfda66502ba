// SPDX-License-Identifier: Apache-2.0
// What NVML, the management library of NVIDIA's driver, says about a GPU. It is loaded at run time
// and only asked, never told: no setting of a GPU changes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace traindyno {

enum class MigMode : std::uint8_t { off, on };

namespace detail {
struct NvmlLibrary;
}

/// One GPU. An answer is empty where the GPU, the driver or the permissions have none. Calls may
/// come from any thread.
class NvmlGpu {
  public:
    NvmlGpu(std::shared_ptr<const detail::NvmlLibrary> library, void* handle);

    [[nodiscard]] std::optional<std::string> name() const;
    [[nodiscard]] std::optional<double> sm_clock_mhz() const;
    [[nodiscard]] std::optional<double> memory_clock_mhz() const;
    [[nodiscard]] std::optional<double> max_sm_clock_mhz() const;
    /// Since Ampere the mean of the last second, except on A100 (nvml.h, nvmlDeviceGetPowerUsage).
    [[nodiscard]] std::optional<double> power_watts() const;
    [[nodiscard]] std::optional<double> enforced_power_limit_watts() const;
    [[nodiscard]] std::optional<double> temperature_c() const;
    /// Counted since the driver was loaded.
    [[nodiscard]] std::optional<double> energy_joules() const;
    /// NVML's bits: why the clocks are what they are.
    [[nodiscard]] std::optional<std::uint64_t> clock_reasons() const;
    /// Empty where the GPU knows no MIG.
    [[nodiscard]] std::optional<MigMode> mig_mode() const;

  private:
    std::shared_ptr<const detail::NvmlLibrary> library_;
    void* handle_;
};

/// A GPU, or why there is none.
struct NvmlGpuSearch {
    std::optional<NvmlGpu> gpu{};
    std::string problem{};
};

/// The library, started for as long as this or one of its GPUs lives.
class Nvml {
  public:
    explicit Nvml(const std::string& library = "libnvidia-ml.so.1");

    /// Why nothing can be asked; "" when the library works.
    [[nodiscard]] const std::string& problem() const { return problem_; }

    /// `uuid` as nvidia-smi -L prints it: "GPU-6f1a...".
    [[nodiscard]] NvmlGpuSearch gpu(const std::string& uuid) const;

  private:
    std::shared_ptr<const detail::NvmlLibrary> library_;
    std::string problem_;
};

/// The reasons in `clock_reasons` that slow a GPU down, in words: "power cap". Being idle is none.
[[nodiscard]] std::vector<std::string> slowdown_names(std::uint64_t clock_reasons);

}  // namespace traindyno
