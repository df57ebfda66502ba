// SPDX-License-Identifier: Apache-2.0
// Asks cuDNN, without a GPU, whether it compiles our attention graphs for GPUs described in words.
//
// The test runs with CUDA's stub driver library. A supported graph is compiled in full and fails
// only where its kernel would be loaded, as CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER; an
// unsupported one is refused before.
#include <array>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/device/cuda/attention/cudnn_plan.hpp"
#include "emulator/device/cuda/attention/sdpa_graph.hpp"

namespace traindyno::cuda {
namespace {

struct Gpu {
    const char* name;
    int version;  ///< compute capability, times 100
    int multiprocessors;
    std::int64_t shared_memory;  ///< a block may ask for, in bytes
    std::int64_t l2_cache;       ///< bytes
    int blocks;                  ///< per multiprocessor
    int threads;                 ///< per multiprocessor
};

// NVIDIA's CUDA C++ programming guide, "Compute Capabilities", and the products' data sheets.
constexpr Gpu t4{"T4", 750, 40, 65536, 4 << 20, 16, 1024};
constexpr Gpu a100{"A100", 800, 108, 166912, 40 << 20, 32, 2048};
constexpr Gpu h200{"H200", 900, 132, 232448, 50 << 20, 32, 2048};
constexpr Gpu b200{"B200", 1000, 148, 232448, 126 << 20, 32, 2048};

/// cuDNN wants every key, as integers.
std::string json_of(const Gpu& gpu) {
    return fmt::format(
        R"({{"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
        R"("deviceName":"{}","deviceVer":{},"driverVer":13000,"multiProcessorCount":{},)"
        R"("regsPerBlock":65536,"smClockRateKHz":1500000,"memClockRateKHz":2000000,)"
        R"("l2CacheSize":{},"warpSize":32,"maxSharedMemoryPerBlock":49152,)"
        R"("maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":1024,)"
        R"("maxRegistersPerSM":65536,"pciDeviceId":0,"maxCtasPerSM":{},)"
        R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":{},"isTccDriver":0,)"
        R"("supportCoopLaunch":1,"totalGlobalMem":80000000000,"cudaDeviceId":0}})",
        gpu.name,
        gpu.version,
        gpu.multiprocessors,
        gpu.l2_cache,
        gpu.shared_memory,
        gpu.blocks,
        gpu.threads);
}

class CudnnSupport : public testing::Test {
  protected:
    void SetUp() override {
        opened_ = open_cudnn("");
        if (!opened_.library) {
            GTEST_SKIP() << opened_.problem;
        }
    }

    /// "" when cuDNN compiles the graph for the GPU, else why it does not.
    [[nodiscard]] std::string refusal(const CudnnGraph& graph, const Gpu& gpu) const {
        const CudnnLibrary& cudnn = *opened_.library;
        Descriptor device(cudnn, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
        const std::string json = json_of(gpu);
        device.set(TD_CUDNN_ATTR(DEVICEPROP_JSON_REPRESENTATION),
                   std::span<const char>(json.c_str(), json.size() + 1));
        device.finalize();
        const PlanSearch search = find_plan(cudnn, graph, {.handle = nullptr, .device = &device});
        std::string text = "no configuration proposed";
        for (const RefusedPlan& refused : search.refused) {
            if (refused.status == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER) {
                return "";
            }
            text = fmt::format("{} {}", static_cast<int>(refused.status), refused.text);
        }
        return search.plan ? "a plan was made: CUDA's stub library is not in use" : text;
    }

    OpenedCudnn opened_;
};

enum class Coverage : std::uint8_t { everywhere, hopper };

struct Supported {
    const char* name;
    AttentionShape shape;
    DType storage;
    Coverage coverage;
};

constexpr std::array supported{
    Supported{"d128_h64",
              {.batch = 1, .seq = 2048, .heads = 64, .kv_heads = 64, .head_size = 128},
              DType::bf16,
              Coverage::everywhere},
    Supported{"d128_h96",
              {.batch = 1, .seq = 2048, .heads = 96, .kv_heads = 96, .head_size = 128},
              DType::bf16,
              Coverage::hopper},
    Supported{"d64_h12",
              {.batch = 4, .seq = 1024, .heads = 12, .kv_heads = 12, .head_size = 64},
              DType::bf16,
              Coverage::everywhere},
    Supported{"grouped",
              {.batch = 1, .seq = 8192, .heads = 32, .kv_heads = 8, .head_size = 128},
              DType::bf16,
              Coverage::everywhere},
    Supported{"fp16",
              {.batch = 2, .seq = 2048, .heads = 16, .kv_heads = 16, .head_size = 64},
              DType::fp16,
              Coverage::hopper},
    Supported{"odd_seq",
              {.batch = 3, .seq = 1000, .heads = 12, .kv_heads = 4, .head_size = 64},
              DType::bf16,
              Coverage::hopper},
    Supported{"tiny_seq",
              {.batch = 1, .seq = 63, .heads = 1, .kv_heads = 1, .head_size = 128},
              DType::bf16,
              Coverage::hopper},
    // Parts of a sequence: the own keys, half of those before, all keys after half of the queries.
    Supported{"own_keys",
              {.batch = 2, .seq = 4096, .heads = 32, .kv_heads = 8, .head_size = 128, .keys = 4096},
              DType::bf16,
              Coverage::hopper},
    Supported{"fewer_keys",
              {.batch = 1,
               .seq = 4096,
               .heads = 32,
               .kv_heads = 8,
               .head_size = 128,
               .keys = 2048,
               .mask = AttentionMask::none},
              DType::bf16,
              Coverage::everywhere},
    Supported{"more_keys",
              {.batch = 1,
               .seq = 512,
               .heads = 12,
               .kv_heads = 12,
               .head_size = 64,
               .keys = 1024,
               .mask = AttentionMask::none},
              DType::fp16,
              Coverage::hopper},
    Supported{"odd_keys",
              {.batch = 1,
               .seq = 125,
               .heads = 4,
               .kv_heads = 4,
               .head_size = 128,
               .keys = 250,
               .mask = AttentionMask::none},
              DType::bf16,
              Coverage::hopper},
};

TEST_F(CudnnSupport, covers_forward_and_backward_on_ampere_hopper_and_blackwell) {
    for (const Gpu& gpu : {h200, a100, b200}) {
        for (const Supported& at : supported) {
            if (gpu.version != h200.version && at.coverage == Coverage::hopper) {
                continue;  // each graph takes half a second to compile
            }
            EXPECT_EQ(refusal(forward_graph(at.shape, at.storage), gpu), "")
                << gpu.name << " " << at.name << " forward";
            EXPECT_EQ(refusal(backward_graph(at.shape, at.storage), gpu), "")
                << gpu.name << " " << at.name << " backward";
        }
    }
}

TEST_F(CudnnSupport, ends_at_heads_that_vectors_do_not_divide) {
    const AttentionShape shape{
        .batch = 1, .seq = 2048, .heads = 8, .kv_heads = 8, .head_size = 100};
    EXPECT_NE(refusal(forward_graph(shape, DType::bf16), h200), "");
    EXPECT_NE(refusal(backward_graph(shape, DType::bf16), h200), "");
}

TEST_F(CudnnSupport, begins_at_ampere) {
    EXPECT_NE(refusal(forward_graph(supported[0].shape, DType::bf16), t4), "");
    EXPECT_NE(refusal(backward_graph(supported[0].shape, DType::bf16), t4), "");
}

}  // namespace
}  // namespace traindyno::cuda
