// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/attention.hpp"

#include <cstdlib>
#include <optional>
#include <utility>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/attention/batched_attention.hpp"
#if TRAINDYNO_HAS_CUDNN
#include "emulator/device/cuda/attention/fused_attention.hpp"
#endif

namespace traindyno::cuda {

#if TRAINDYNO_HAS_CUDNN

namespace {

OpenedCudnn open_named_cudnn() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program changes the environment
    const char* root = std::getenv("CUDNN_ROOT");
    return open_cudnn(root == nullptr ? "" : root);
}

}  // namespace

std::string cudnn_state() {
    const OpenedCudnn opened = open_named_cudnn();
    return opened.library ? opened.library->version_text() : opened.problem;
}

struct AttentionFactory::Libraries {
    LtHandle products = make_lt_handle();
    OpenedCudnn cudnn = open_named_cudnn();
    std::optional<CudnnHandle> handle;

    Libraries() {
        if (!cudnn.library) {
            return;
        }
        try {
            handle.emplace(*cudnn.library);
        } catch (const LibraryError& error) {
            cudnn.problem = error.what();
        }
    }

    /// cuDNN may fail in ways that only it knows; all of them leave the batched attention.
    [[nodiscard]] Fused fused(const AttentionShape& shape, DType storage) {
        if (!handle) {
            return {.attention = nullptr, .problem = cudnn.problem};
        }
        try {
            return make_fused(*cudnn.library, *handle, shape, storage);
        } catch (const LibraryError& error) {
            return {.attention = nullptr, .problem = error.what()};
        }
    }
};

AttentionFactory::Made AttentionFactory::make(const AttentionShape& shape,
                                              Precision precision) const {
    Fused fused = libraries_->fused(shape, storage_type(precision));
    Made made;
    if (fused.attention != nullptr) {
        made.attention = std::move(fused.attention);
        made.method = AttentionMethod::fused;
        return made;
    }
    made.attention = make_batched(shape, precision);
    made.reason = std::move(fused.problem);
    return made;
}

std::string AttentionFactory::cudnn_version() const {
    return libraries_->handle ? libraries_->cudnn.library->version_text() : "";
}

#else

std::string cudnn_state() {
    return "built without the headers of cuDNN 9.11 or later";
}

struct AttentionFactory::Libraries {
    LtHandle products = make_lt_handle();
};

AttentionFactory::Made AttentionFactory::make(const AttentionShape& shape,
                                              Precision precision) const {
    Made made;
    made.attention = make_batched(shape, precision);
    made.reason = cudnn_state();
    return made;
}

std::string AttentionFactory::cudnn_version() const {
    return "";
}

#endif

AttentionFactory::AttentionFactory() : libraries_(std::make_unique<Libraries>()) {}

AttentionFactory::~AttentionFactory() = default;

std::unique_ptr<Attention> AttentionFactory::make_batched(const AttentionShape& shape,
                                                          Precision precision) const {
    return std::make_unique<BatchedAttention>(libraries_->products.get(), shape, precision);
}

}  // namespace traindyno::cuda
