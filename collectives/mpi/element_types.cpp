// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/element_types.hpp"

#include <array>
#include <cstddef>
#include <type_traits>

#include "collectives/half_types.hpp"
#include "collectives/mpi/check.hpp"
#include "collectives/reduce/reduce.hpp"

namespace traindyno {

namespace {

template <class Half>
void reduce_halves(const void* from, void* into, int count, Reduction reduction) {
    auto* const out = static_cast<std::byte*>(into);
    const std::array<const std::byte*, 2> inputs{out, static_cast<const std::byte*>(from)};
    reduce(inputs,
           {&out, 1},
           static_cast<std::size_t>(count) * sizeof(Half),
           {.type = std::is_same_v<Half, Bf16> ? DType::bf16 : DType::fp16, .reduction = reduction},
           Stores::cached);
}

// MPI_User_function: not const, by MPI's signature.
// NOLINTBEGIN(readability-non-const-parameter)
template <class Half>
void sum_callback(void* from, void* into, int* count, MPI_Datatype* /*type*/) {
    reduce_halves<Half>(from, into, *count, Reduction::sum);
}

template <class Half>
void max_callback(void* from, void* into, int* count, MPI_Datatype* /*type*/) {
    reduce_halves<Half>(from, into, *count, Reduction::max);
}

// NOLINTEND(readability-non-const-parameter)

UniqueOp commutative(MPI_User_function* function) {
    MPI_Op op = MPI_OP_NULL;
    TD_MPI(MPI_Op_create(function, 1, &op));
    return UniqueOp{op};
}

}  // namespace

void MpiDatatypeTraits::destroy(Handle type) noexcept {
    detail::report_mpi(MPI_Type_free(&type), "MPI_Type_free");
}

void MpiOpTraits::destroy(Handle op) noexcept {
    detail::report_mpi(MPI_Op_free(&op), "MPI_Op_free");
}

ElementTypes::ElementTypes()
    : bf16_{.sum = commutative(&sum_callback<Bf16>), .max = commutative(&max_callback<Bf16>)},
      fp16_{.sum = commutative(&sum_callback<Fp16>), .max = commutative(&max_callback<Fp16>)} {
    MPI_Datatype two_bytes = MPI_DATATYPE_NULL;
    TD_MPI(MPI_Type_contiguous(2, MPI_BYTE, &two_bytes));
    half_ = UniqueDatatype{two_bytes};
    TD_MPI(MPI_Type_commit(&two_bytes));
}

MPI_Datatype ElementTypes::datatype(DType type) const {
    switch (type) {
        case DType::fp32:
            return MPI_FLOAT;
        case DType::bf16:
        case DType::fp16:
            return half_.get();
        case DType::fp64:
            return MPI_DOUBLE;
        case DType::int32:
            return MPI_INT32_T;
        case DType::int64:
            return MPI_INT64_T;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op ElementTypes::operation(DType type, Reduction reduction) const {
    const HalfOperations* const half = type == DType::bf16   ? &bf16_
                                       : type == DType::fp16 ? &fp16_
                                                             : nullptr;
    switch (reduction) {
        case Reduction::sum:
        case Reduction::average:
            return half != nullptr ? half->sum.get() : MPI_SUM;
        case Reduction::max:
            return half != nullptr ? half->max.get() : MPI_MAX;
    }
    return MPI_OP_NULL;
}

}  // namespace traindyno
