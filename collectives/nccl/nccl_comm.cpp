// SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/nccl_comm.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sched.h>

#include "collectives/nccl/check.hpp"
#include "collectives/patient_wait.hpp"

namespace traindyno {

struct NcclComm::State {
    explicit State(const NcclOptions& options)
        : name(options.name), timeout(options.timeout), settling(options.settling) {}

    ncclComm_t handle = nullptr;  ///< null: never set up, or aborted. NCCL writes it from a thread
    std::string name;             ///< NCCL keeps a pointer to it
    GroupRank rank;
    std::int64_t size = 0;
    SimTime timeout;
    Settling settling;
    const char* call = "nothing";  ///< the last one, for reports
    std::int64_t bytes = 0;
    bool failed = false;
    std::vector<void*> registered;

    [[nodiscard]] std::string last_call() const {
        return fmt::format(
            "{} of {} bytes by rank {} of {} in {}", call, bytes, rank.value(), size, name);
    }

    void expect(ncclResult_t result) {
        if (result != ncclSuccess && result != ncclInProgress) {
            failed = true;
            check_nccl(result, last_call().c_str(), Where::here());
        }
    }

    [[nodiscard]] bool settled() {
        TD_EXPECT(handle != nullptr);
        ncclResult_t found = ncclSuccess;
        expect(ncclCommGetAsyncError(handle, &found));
        expect(found);
        return found == ncclSuccess;
    }

    void settle() {
        constexpr int quick_looks = 1000;
        const auto deadline = std::chrono::steady_clock::now() + timeout;
        for (int look = 0; !settled(); ++look) {
            if (std::chrono::steady_clock::now() > deadline) {
                failed = true;
                throw HangError(fmt::format(
                    "NCCL did not begin {} within {:.1f} s (a rank is lost or still busy) look at "
                    "the other ranks' output",
                    last_call(),
                    to_seconds(timeout)));
            }
            if (look < quick_looks) {
                sched_yield();
            } else {
                std::this_thread::sleep_for(std::chrono::microseconds{50});
            }
        }
    }

    void abort() noexcept {
        failed = true;
        if (ncclComm_t aborted = std::exchange(handle, nullptr); aborted != nullptr) {
            (void)ncclCommAbort(aborted);
        }
    }

    /// Waits for every member, as the end of a communicator is collective.
    void end() {
        settle();
        for (void* const buffer : registered) {
            expect(ncclCommDeregister(handle, buffer));
        }
        call = "ncclCommFinalize";
        bytes = 0;
        expect(ncclCommFinalize(handle));
        settle();
        expect(ncclCommDestroy(std::exchange(handle, nullptr)));
    }
};

namespace {

ncclDataType_t element_type(DType type) {
    switch (type) {
        case DType::fp32:
            return ncclFloat32;
        case DType::bf16:
            return ncclBfloat16;
        case DType::fp16:
            return ncclFloat16;
        case DType::fp64:
            return ncclFloat64;
        case DType::int32:
            return ncclInt32;
        case DType::int64:
            return ncclInt64;
    }
    return ncclNumTypes;
}

ncclRedOp_t operation(Reduction reduction) {
    switch (reduction) {
        case Reduction::sum:
            return ncclSum;
        case Reduction::max:
            return ncclMax;
        case Reduction::average:
            return ncclAvg;
    }
    return ncclNumOps;
}

std::size_t count(std::int64_t elements) {
    TD_EXPECT(elements >= 0);
    return static_cast<std::size_t>(elements);
}

ncclConfig_t config(const NcclOptions& options, const char* name) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;    // so that a call whose peer is lost can be given up
    config.splitShare = 0;  // sharing would put parent and child one after the other
    if (options.min_ctas > 0) {
        config.minCTAs = options.min_ctas;
    }
    if (options.max_ctas > 0) {
        config.maxCTAs = options.max_ctas;
    }
    if (options.cga_cluster_size) {
        config.cgaClusterSize = *options.cga_cluster_size;
    }
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
    config.commName = name;
#else
    (void)name;
#endif
    return config;
}

ncclUniqueId shared_id(Communicator& control, SimTime timeout) {
    ncclUniqueId id{};
    if (control.rank() == GroupRank{0}) {
        TD_NCCL(ncclGetUniqueId(&id));
    }
    Pending sent = control.broadcast(
        std::as_writable_bytes(std::span{id.internal}), GroupRank{0}, Urgency::background);
    wait_patiently(sent, {.timeout = timeout});
    return id;
}

}  // namespace

void NcclComm::Deleter::operator()(State* state) const noexcept {
    const std::unique_ptr<State> owner{state};
    if (!state->failed && std::uncaught_exceptions() == 0 && state->handle != nullptr) {
        try {
            state->end();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "traindyno: %s\n", error.what());
        }
    }
    state->abort();
}

NcclComm NcclComm::across(Communicator& control, const NcclOptions& options) {
    const ncclUniqueId id = shared_id(control, options.timeout);
    NcclComm comm{id, control.rank(), control.size(), options};
    comm.settle();
    return comm;
}

NcclComm::NcclComm(const ncclUniqueId& id,
                   GroupRank rank,
                   std::int64_t size,
                   const NcclOptions& options)
    : state_(new State{options}) {
    state_->rank = rank;
    state_->size = size;
    ncclConfig_t wanted = config(options, state_->name.c_str());
    state_->call = "ncclCommInitRankConfig";
    state_->expect(
        ncclCommInitRankConfig(&state_->handle, static_cast<int>(size), id, rank.value(), &wanted));
}

NcclComm NcclComm::split(std::int32_t color, std::int32_t key, const NcclOptions& options) {
    TD_EXPECT(color >= 0);
    settle();
    NcclComm part;
    part.state_.reset(new State{options});
    State& made = *part.state_;
    ncclConfig_t wanted = config(options, made.name.c_str());
    issued("ncclCommSplit", 0, ncclCommSplit(state_->handle, color, key, &made.handle, &wanted));
    settle();  // it is the parent that knows when the part is there
    made.call = "ncclCommSplit";
    made.settle();
    int rank = 0;
    int size = 0;
    made.expect(ncclCommUserRank(made.handle, &rank));
    made.expect(ncclCommCount(made.handle, &size));
    made.rank = GroupRank{rank};
    made.size = size;
    return part;
}

GroupRank NcclComm::rank() const {
    return state_->rank;
}

std::int64_t NcclComm::size() const {
    return state_->size;
}

/// NCCL answers a call on a communicator that has not settled with an error, hence the wait.
void NcclComm::issued(const char* call, std::int64_t bytes, ncclResult_t result) {
    state_->call = call;
    state_->bytes = bytes;
    state_->expect(result);
    if (state_->settling == Settling::before_return) {
        state_->settle();
    }
}

void NcclComm::all_reduce(const std::byte* in,
                          std::byte* out,
                          std::int64_t elements,
                          DType type,
                          Reduction reduction,
                          cudaStream_t stream) {
    issued("ncclAllReduce",
           size_of(elements, type).value(),
           ncclAllReduce(in,
                         out,
                         count(elements),
                         element_type(type),
                         operation(reduction),
                         state_->handle,
                         stream));
}

void NcclComm::reduce_scatter(const std::byte* in,
                              std::byte* out,
                              std::int64_t elements,
                              DType type,
                              Reduction reduction,
                              cudaStream_t stream) {
    issued("ncclReduceScatter",
           size_of(elements, type).value(),
           ncclReduceScatter(in,
                             out,
                             count(elements),
                             element_type(type),
                             operation(reduction),
                             state_->handle,
                             stream));
}

void NcclComm::all_gather(const std::byte* in,
                          std::byte* out,
                          std::int64_t bytes,
                          cudaStream_t stream) {
    issued("ncclAllGather",
           bytes,
           ncclAllGather(in, out, count(bytes), ncclInt8, state_->handle, stream));
}

void NcclComm::all_to_all(const std::byte* in,
                          std::byte* out,
                          std::int64_t bytes,
                          cudaStream_t stream) {
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
    issued("ncclAlltoAll",
           bytes,
           ncclAlltoAll(in, out, count(bytes), ncclInt8, state_->handle, stream));
#else
    grouped([&] {
        for (std::int64_t peer = 0; peer < size(); ++peer) {
            send(in + peer * bytes, bytes, GroupRank{peer}, stream);
            recv(out + peer * bytes, bytes, GroupRank{peer}, stream);
        }
    });
#endif
}

void NcclComm::exchange(const std::byte* in,
                        std::byte* out,
                        std::span<const PartRange> sent,
                        std::span<const PartRange> received,
                        cudaStream_t stream) {
    grouped([&] {
        for (std::int64_t peer = 0; peer < size(); ++peer) {
            const PartRange& to = sent[static_cast<std::size_t>(peer)];
            const PartRange& from = received[static_cast<std::size_t>(peer)];
            if (to.size > 0) {
                send(in + to.begin, to.size, GroupRank{peer}, stream);
            }
            if (from.size > 0) {
                recv(out + from.begin, from.size, GroupRank{peer}, stream);
            }
        }
    });
}

void NcclComm::broadcast(std::byte* buffer,
                         std::int64_t bytes,
                         GroupRank root,
                         cudaStream_t stream) {
    issued("ncclBroadcast",
           bytes,
           ncclBroadcast(
               buffer, buffer, count(bytes), ncclInt8, root.value(), state_->handle, stream));
}

void NcclComm::send(const std::byte* buffer,
                    std::int64_t bytes,
                    GroupRank peer,
                    cudaStream_t stream) {
    issued("ncclSend",
           bytes,
           ncclSend(buffer, count(bytes), ncclInt8, peer.value(), state_->handle, stream));
}

void NcclComm::recv(std::byte* buffer, std::int64_t bytes, GroupRank peer, cudaStream_t stream) {
    issued("ncclRecv",
           bytes,
           ncclRecv(buffer, count(bytes), ncclInt8, peer.value(), state_->handle, stream));
}

void NcclComm::grouped(const std::function<void()>& issue) {
    state_->expect(ncclGroupStart());
    try {
        issue();
    } catch (...) {
        (void)ncclGroupEnd();  // the group is per thread: left open it would swallow later calls
        throw;
    }
    const std::int64_t bytes = state_->bytes;
    issued("group of calls, the last", bytes, ncclGroupEnd());
}

void NcclComm::register_buffer(std::byte* buffer, std::int64_t bytes) {
    void* registration = nullptr;
    issued("ncclCommRegister",
           bytes,
           ncclCommRegister(state_->handle, buffer, count(bytes), &registration));
    if (registration != nullptr) {
        state_->registered.push_back(registration);
    }
}

bool NcclComm::settled() {
    return state_->settled();
}

void NcclComm::settle() {
    state_->settle();
}

void NcclComm::abort() noexcept {
    state_->abort();
}

std::string NcclComm::last_call() const {
    return state_->last_call();
}

}  // namespace traindyno
