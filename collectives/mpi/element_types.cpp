// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/element_types.hpp"

#include <cstddef>
#include <span>

#include "collectives/half_types.hpp"
#include "collectives/mpi/check.hpp"

namespace traindyno {

namespace {

// MPI_User_function: not const, by MPI's signature.
// NOLINTBEGIN(readability-non-const-parameter)
template <class Half>
void sum_callback(void* from, void* into, int* count, MPI_Datatype* /*type*/) {
    const auto length = static_cast<std::size_t>(*count);
    add_halves(std::span{static_cast<const Half*>(from), length},
               std::span{static_cast<Half*>(into), length});
}

template <class Half>
void max_callback(void* from, void* into, int* count, MPI_Datatype* /*type*/) {
    const auto length = static_cast<std::size_t>(*count);
    max_halves(std::span{static_cast<const Half*>(from), length},
               std::span{static_cast<Half*>(into), length});
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
