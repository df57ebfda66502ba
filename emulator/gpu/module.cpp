// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/module.hpp"

#include <filesystem>
#include <system_error>

#include <dlfcn.h>
#include <fmt/format.h>

namespace traindyno {

namespace {

std::string module_path() {
    std::error_code error;
    const std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", error);
    const std::filesystem::path beside = executable.parent_path() / detail::gpu_module_file;
    return !error && std::filesystem::exists(beside) ? beside.string()
                                                     : std::string(detail::gpu_module_file);
}

}  // namespace

GpuModuleSearch detail::load_gpu_module(const std::string& library) {
    // Local, so that its libraries cannot be mistaken for ours; never closed: its objects live on.
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc keeps it per thread
        return {.module = nullptr, .problem = dlerror()};
    }
    const auto entry = reinterpret_cast<GpuModuleEntry>(dlsym(handle, gpu_module_symbol));
    if (entry == nullptr) {
        return {.module = nullptr,
                .problem = fmt::format("{}: not a GPU module of traindyno", library)};
    }
    GpuModule* module = entry(TRAINDYNO_BUILD);
    if (module == nullptr) {
        return {.module = nullptr,
                .problem = fmt::format("{}: belongs to another version of traindyno", library)};
    }
    return {.module = module, .problem = ""};
}

GpuModuleSearch find_gpu_module() {
    static const GpuModuleSearch found = detail::load_gpu_module(module_path());
    return found;
}

bool has_nvidia_driver() {
    void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (driver != nullptr) {
        dlclose(driver);
    }
    return driver != nullptr;
}

GpuInventory gpu_inventory() {
    const GpuModuleSearch search = find_gpu_module();
    if (search.module == nullptr) {
        return {.devices = {}, .libraries = {}, .problem = search.problem};
    }
    return search.module->inventory();
}

}  // namespace traindyno
