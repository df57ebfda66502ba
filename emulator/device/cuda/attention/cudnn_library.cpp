// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/cudnn_library.hpp"

#include <array>
#include <vector>

#include <dlfcn.h>
#include <fmt/format.h>

namespace traindyno::cuda {

namespace {

constexpr const char* file_name = "libcudnn.so.9";
/// 9.11.0: major * 10000 + minor * 100 + patch level. Earlier ones need a zeroed scratch tensor and
/// another mask value, and 9.10.0's backward is wrong (cudnn-frontend, node
/// scaled_dot_product_flash_attention.h).
constexpr std::size_t oldest = 91100;

std::vector<std::string> candidates(const std::string& root) {
    std::vector<std::string> paths;
    if (!root.empty()) {
        for (const char* folder : {"/lib/", "/lib64/", "/"}) {
            paths.push_back(root + folder + file_name);
        }
    }
    paths.emplace_back(file_name);
    paths.push_back(std::string(TRAINDYNO_CUDNN_FOLDER) + "/" + file_name);
    return paths;
}

/// Resolves function after function; remembers the first that is missing.
class Resolver {
  public:
    explicit Resolver(void* library) : library_(library) {}

    template <class Function>
    void operator()(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(library_, name));
        if (function == nullptr && missing_.empty()) {
            missing_ = name;
        }
    }

    [[nodiscard]] const std::string& missing() const { return missing_; }

  private:
    void* library_;
    std::string missing_;
};

}  // namespace

std::string CudnnLibrary::version_text() const {
    const std::size_t version = get_version();
    return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
           std::to_string(version % 100);
}

std::string CudnnLibrary::describe(cudnnStatus_t status) const {
    std::array<char, 512> message{};
    get_last_error_string(message.data(), message.size() - 1);
    const std::string text = get_error_string(status);
    return message.front() == '\0' ? text : text + ": " + message.data();
}

void CudnnLibrary::check(cudnnStatus_t status,
                         const char* call,
                         const char* object,
                         Where where) const {
    if (status != CUDNN_STATUS_SUCCESS) {
        throw LibraryError(
            "cuDNN", status, describe(status), fmt::format("{}({})", call, object), where);
    }
}

OpenedCudnn open_cudnn(const std::string& root) {
    void* library = nullptr;
    std::string problem = "cuDNN was not found:";
    for (const std::string& path : candidates(root)) {
        library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library != nullptr) {
            break;
        }
        // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc keeps the text per thread
        problem += std::string(" ") + dlerror() + ";";
    }
    if (library == nullptr) {
        return {.library = std::nullopt, .problem = problem + " set CUDNN_ROOT to where it is"};
    }
    CudnnLibrary table;
    Resolver resolve(library);
    resolve(table.get_version, "cudnnGetVersion");
    resolve(table.get_error_string, "cudnnGetErrorString");
    resolve(table.get_last_error_string, "cudnnGetLastErrorString");
    resolve(table.create, "cudnnCreate");
    resolve(table.destroy, "cudnnDestroy");
    resolve(table.set_stream, "cudnnSetStream");
    resolve(table.create_descriptor, "cudnnBackendCreateDescriptor");
    resolve(table.destroy_descriptor, "cudnnBackendDestroyDescriptor");
    resolve(table.set_attribute, "cudnnBackendSetAttribute");
    resolve(table.get_attribute, "cudnnBackendGetAttribute");
    resolve(table.finalize, "cudnnBackendFinalize");
    resolve(table.execute, "cudnnBackendExecute");
    if (!resolve.missing().empty()) {
        return {.library = std::nullopt, .problem = "cuDNN has no function " + resolve.missing()};
    }
    if (table.get_version() < oldest) {
        return {.library = std::nullopt,
                .problem = "cuDNN " + table.version_text() + " is older than 9.11"};
    }
    return {.library = table, .problem = ""};
}

}  // namespace traindyno::cuda
