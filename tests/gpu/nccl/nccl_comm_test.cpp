// SPDX-License-Identifier: Apache-2.0
// NCCL on streams, as the step runner uses it.
#include "collectives/nccl/nccl_comm.hpp"

#include <chrono>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sched.h>

#include "collectives/half_types.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "tests/gpu/nccl/gpu_world.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

template <class T>
class OnDevice {
  public:
    explicit OnDevice(const std::vector<T>& values)
        : count_(values.size()),
          memory_(Bytes{static_cast<std::int64_t>(sizeof(T) * values.size())}) {
        copy(memory_.data(), values.data(), cudaMemcpyHostToDevice);
    }

    [[nodiscard]] std::byte* data() const { return memory_.data(); }

    [[nodiscard]] std::int64_t bytes() const { return memory_.size().value(); }

    [[nodiscard]] std::vector<T> values() const {
        std::vector<T> values(count_);
        copy(values.data(), memory_.data(), cudaMemcpyDeviceToHost);
        return values;
    }

  private:
    void copy(void* to, const void* from, cudaMemcpyKind kind) const {
        TD_CUDA(cudaMemcpyAsync(to, from, sizeof(T) * count_, kind, stream_.get()));
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
    }

    std::size_t count_;
    DeviceBytes memory_;
    CudaStream stream_ = make_stream();
};

class NcclCommOnStream : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string missing = gpu_missing(); !missing.empty()) {
            GTEST_SKIP() << missing;
        }
        control_ = session().world();
        comm_ = std::make_unique<NcclComm>(NcclComm::across(*control_, nccl_test_options()));
        stream_ = make_stream(StreamPriority::highest);
    }

    [[nodiscard]] NcclComm& comm() { return *comm_; }

    [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }

    [[nodiscard]] std::int64_t rank() const { return comm_->rank().value(); }

    [[nodiscard]] std::int64_t size() const { return comm_->size(); }

    /// Waits as the step runner does: for the stream, asking NCCL too.
    void finish() {
        const CudaEvent event = make_event(EventTiming::off);
        TD_CUDA(cudaEventRecord(event.get(), stream()));
        while (!is_complete(event.get())) {
            ASSERT_TRUE(comm().settled());
            sched_yield();
        }
    }

    [[nodiscard]] std::vector<std::int64_t> ones_to(std::int64_t count, std::int64_t scale) const {
        std::vector<std::int64_t> values;
        for (std::int64_t i = 0; i < count; ++i) {
            values.push_back(scale * (i % 11 + 1));
        }
        return values;
    }

  private:
    std::unique_ptr<Communicator> control_;
    CudaStream stream_;
    std::unique_ptr<NcclComm> comm_;
};

TEST_F(NcclCommOnStream, sums_exactly_and_in_order) {
    const OnDevice buffer(ones_to(10'007, rank() + 1));
    comm().all_reduce(buffer.data(), buffer.data(), 10'007, DType::int64, Reduction::sum, stream());
    comm().all_reduce(buffer.data(), buffer.data(), 10'007, DType::int64, Reduction::sum, stream());
    finish();
    EXPECT_EQ(buffer.values(), ones_to(10'007, size() * size() * (size() + 1) / 2));
}

TEST_F(NcclCommOnStream, bf16_sums_stay_within_their_rounding) {
    constexpr std::size_t count = 65'537;
    const auto values_of = [](std::int64_t member) {
        std::mt19937 generator(static_cast<unsigned>(member) + 17);
        std::normal_distribution<float> normal;
        std::vector<Bf16> values(count);
        for (Bf16& value : values) {
            value = to_bf16(normal(generator));
        }
        return values;
    };
    const OnDevice buffer(values_of(rank()));
    comm().all_reduce(buffer.data(), buffer.data(), count, DType::bf16, Reduction::sum, stream());
    finish();
    std::vector<double> sums(count);
    std::vector<double> magnitudes(count);
    for (std::int64_t member = 0; member < size(); ++member) {
        const std::vector<Bf16> values = values_of(member);
        for (std::size_t i = 0; i < count; ++i) {
            sums[i] += to_float(values[i]);
            magnitudes[i] += std::fabs(to_float(values[i]));
        }
    }
    const std::vector<Bf16> found = buffer.values();
    std::int64_t outside = 0;
    for (std::size_t i = 0; i < count; ++i) {
        // Each of size() - 1 additions rounds a partial sum by half a unit of 8 bits at most.
        const double bound = static_cast<double>(size()) * 0x1p-8 * magnitudes[i];
        outside += std::fabs(to_float(found[i]) - sums[i]) <= bound ? 0 : 1;
    }
    EXPECT_EQ(outside, 0);
}

TEST_F(NcclCommOnStream, a_group_of_messages_needs_no_order) {
    const OnDevice sent(ones_to(5'003, rank() + 1));
    const OnDevice received(std::vector<std::int64_t>(5'003, -1));
    const std::int64_t previous = (rank() + size() - 1) % size();
    comm().grouped([&] {
        comm().recv(received.data(), received.bytes(), GroupRank{previous}, stream());
        comm().send(sent.data(), sent.bytes(), GroupRank{(rank() + 1) % size()}, stream());
    });
    finish();
    EXPECT_EQ(received.values(), ones_to(5'003, previous + 1));
}

TEST_F(NcclCommOnStream, split_orders_by_key) {
    NcclComm half = comm().split(static_cast<std::int32_t>(rank() % 2),
                                 static_cast<std::int32_t>(-rank()),
                                 nccl_test_options());
    const std::int64_t members = rank() % 2 == 0 ? (size() + 1) / 2 : size() / 2;
    EXPECT_EQ(half.size(), members);
    EXPECT_EQ(half.rank().value(), members - 1 - rank() / 2);
    const OnDevice in(std::vector<std::int64_t>{rank()});
    const OnDevice out(std::vector<std::int64_t>(static_cast<std::size_t>(members), -1));
    half.all_gather(in.data(), out.data(), in.bytes(), stream());
    finish();
    std::vector<std::int64_t> expected;
    for (std::int64_t i = 0; i < members; ++i) {
        expected.push_back(2 * (members - 1 - i) + rank() % 2);
    }
    EXPECT_EQ(out.values(), expected);
}

TEST_F(NcclCommOnStream, registered_buffers_sum_the_same) {
    const OnDevice buffer(ones_to(1 << 20, rank() + 1));
    comm().register_buffer(buffer.data(), buffer.bytes());
    comm().all_reduce(
        buffer.data(), buffer.data(), 1 << 20, DType::int64, Reduction::sum, stream());
    finish();
    EXPECT_EQ(buffer.values(), ones_to(1 << 20, size() * (size() + 1) / 2));
}

TEST_F(NcclCommOnStream, a_captured_sum_runs_again_and_again) {
    const OnDevice buffer(ones_to(4'099, 1));
    const auto sum = [&] {
        comm().all_reduce(
            buffer.data(), buffer.data(), 4'099, DType::int64, Reduction::sum, stream());
    };
    sum();  // connects
    finish();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    TD_CUDA(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    sum();
    TD_CUDA(cudaStreamEndCapture(stream(), &graph));
    TD_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    TD_CUDA(cudaGraphLaunch(executable, stream()));
    TD_CUDA(cudaGraphLaunch(executable, stream()));
    finish();
    TD_CUDA(cudaGraphExecDestroy(executable));
    TD_CUDA(cudaGraphDestroy(graph));
    EXPECT_EQ(buffer.values(), ones_to(4'099, size() * size() * size()));
}

TEST(NcclComm, moves_and_leaves_nothing) {
    static_assert(!std::is_copy_constructible_v<NcclComm>);
    static_assert(std::is_nothrow_move_constructible_v<NcclComm>);
    static_assert(std::is_nothrow_destructible_v<NcclComm>);
    if (const std::string missing = gpu_missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    const std::unique_ptr<Communicator> control = session().world();
    NcclComm first = NcclComm::across(*control, nccl_test_options());
    NcclComm second = std::move(first);
    EXPECT_EQ(second.size(), session().size());
    EXPECT_TRUE(second.settled());
}

TEST(NcclComm, without_a_gpu_says_which_call_failed_and_why) {
    if (gpu_missing().empty()) {
        GTEST_SKIP() << "there is a GPU";
    }
    const std::unique_ptr<Communicator> control = Communicator::serial();
    try {
        (void)NcclComm::across(*control, nccl_test_options());
        ADD_FAILURE() << "NCCL works without a GPU";
    } catch (const LibraryError& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("NCCL"), std::string::npos) << text;
        EXPECT_NE(text.find("ncclCommInitRankConfig"), std::string::npos) << text;
        EXPECT_NE(text.find("unhandled cuda error"), std::string::npos) << text;
    }
}

}  // namespace

}  // namespace traindyno::test
