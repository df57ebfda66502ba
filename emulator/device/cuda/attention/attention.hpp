// SPDX-License-Identifier: Apache-2.0
// Attention on a GPU: what a device holds, and the choice between its implementations.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <cuda_runtime_api.h>

#include "emulator/base/precision.hpp"
#include "emulator/base/units.hpp"
#include "emulator/device/attention_shape.hpp"

namespace traindyno::cuda {

/// Device addresses, aligned to 16 bytes. Layouts: AttentionForward in emulator/program/op.hpp.
struct AttentionArguments {
    const void* qkv = nullptr;
    const void* keys_values = nullptr;  ///< where they are apart
    void* context = nullptr;            ///< backward reads it
    float* statistics = nullptr;
    const void* grad_context = nullptr;  ///< backward only
    void* grad_qkv = nullptr;            ///< backward only; overwritten
    void* grad_keys_values = nullptr;    ///< backward only, where they are apart; overwritten
    void* workspace = nullptr;           ///< workspace_size() bytes, aligned to 256
};

/// Attention of one shape and precision on the current device. Calls only launch work on the
/// stream, and can be captured in a CUDA graph.
class Attention {
  public:
    virtual ~Attention() = default;

    virtual void forward(const AttentionArguments& arguments, cudaStream_t stream) = 0;
    virtual void backward(const AttentionArguments& arguments, cudaStream_t stream) = 0;
    [[nodiscard]] virtual Bytes workspace_size() const = 0;
};

enum class AttentionMethod : std::uint8_t {
    fused,    ///< cuDNN's: scores never leave the chip
    batched,  ///< matrix products over some heads at a time, and a softmax between them
};

/// Version of the cuDNN that this process finds, or why it cannot be used. Needs no GPU.
[[nodiscard]] std::string cudnn_state();

/// Owns the libraries' handles, and so outlives what it makes. One per device.
class AttentionFactory {
  public:
    /// Opens cuDNN if it can.
    AttentionFactory();
    AttentionFactory(const AttentionFactory&) = delete;
    AttentionFactory& operator=(const AttentionFactory&) = delete;
    AttentionFactory(AttentionFactory&&) = delete;
    AttentionFactory& operator=(AttentionFactory&&) = delete;
    ~AttentionFactory();

    struct Made {
        std::unique_ptr<Attention> attention;
        AttentionMethod method = AttentionMethod::batched;
        std::string reason;  ///< why it is not fused; "" when it is
    };

    /// Fused where cuDNN supports it, batched elsewhere.
    [[nodiscard]] Made make(const AttentionShape& shape, Precision precision) const;
    [[nodiscard]] std::unique_ptr<Attention> make_batched(const AttentionShape& shape,
                                                          Precision precision) const;

    /// Version of cuDNN as text, "" without it.
    [[nodiscard]] std::string cudnn_version() const;

  private:
    struct Libraries;
    std::unique_ptr<Libraries> libraries_;
};

}  // namespace traindyno::cuda
