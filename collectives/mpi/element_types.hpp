// SPDX-License-Identifier: Apache-2.0
// MPI datatypes and operations for our element types, bf16 included.
#pragma once

#include <mpi.h>

#include "emulator/base/dtype.hpp"
#include "emulator/base/reduction.hpp"
#include "emulator/base/unique_handle.hpp"

namespace traindyno {

struct MpiDatatypeTraits {
    using Handle = MPI_Datatype;

    static Handle null() { return MPI_DATATYPE_NULL; }

    static void destroy(Handle type) noexcept;
};

struct MpiOpTraits {
    using Handle = MPI_Op;

    static Handle null() { return MPI_OP_NULL; }

    static void destroy(Handle op) noexcept;
};

using UniqueDatatype = UniqueHandle<MpiDatatypeTraits>;
using UniqueOp = UniqueHandle<MpiOpTraits>;

/// MPI has no 16-bit floating-point types: they travel as two contiguous bytes with operations of
/// our own.
class ElementTypes {
  public:
    ElementTypes();

    [[nodiscard]] MPI_Datatype datatype(DType type) const;
    /// An average is summed; whoever asked divides.
    [[nodiscard]] MPI_Op operation(DType type, Reduction reduction) const;

  private:
    struct HalfOperations {
        UniqueOp sum;
        UniqueOp max;
    };

    UniqueDatatype half_;
    HalfOperations bf16_;
    HalfOperations fp16_;
};

}  // namespace traindyno
