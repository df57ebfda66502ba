// SPDX-License-Identifier: Apache-2.0
// cuDNN's backend API, opened at run time: a missing library costs speed, not the program's start.
#pragma once

#include <optional>
#include <string>

#include <cudnn_graph.h>

#include "emulator/base/error.hpp"

namespace traindyno::cuda {

/// The functions used, by the types the header declares them with.
struct CudnnLibrary {
    decltype(&cudnnGetVersion) get_version = nullptr;
    decltype(&cudnnGetErrorString) get_error_string = nullptr;
    decltype(&cudnnGetLastErrorString) get_last_error_string = nullptr;
    decltype(&cudnnCreate) create = nullptr;
    decltype(&cudnnDestroy) destroy = nullptr;
    decltype(&cudnnSetStream) set_stream = nullptr;
    decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
    decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
    decltype(&cudnnBackendSetAttribute) set_attribute = nullptr;
    decltype(&cudnnBackendGetAttribute) get_attribute = nullptr;
    decltype(&cudnnBackendFinalize) finalize = nullptr;
    decltype(&cudnnBackendExecute) execute = nullptr;

    /// "9.19.0"
    [[nodiscard]] std::string version_text() const;
    /// The status in words, with cuDNN's own last message if there is one.
    [[nodiscard]] std::string describe(cudnnStatus_t status) const;
    /// Throws LibraryError unless `status` is success.
    void check(cudnnStatus_t status,
               const char* call,
               const char* object = "",
               Where where = Where::here()) const;
};

struct OpenedCudnn {
    std::optional<CudnnLibrary> library;  ///< empty when there is a problem
    std::string problem;
};

/// Looks in `root` and its lib folders first if it is not "", then where the loader looks, then
/// where cuDNN lay when this was built. Never closed: it holds state of the process.
[[nodiscard]] OpenedCudnn open_cudnn(const std::string& root);

}  // namespace traindyno::cuda
