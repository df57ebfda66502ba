// SPDX-License-Identifier: Apache-2.0
// Descriptors of cuDNN's backend API need no GPU.
#include "emulator/device/cuda/attention/cudnn_descriptor.hpp"

#include <string>

#include <gtest/gtest.h>

namespace traindyno::cuda {
namespace {

class DescriptorTest : public testing::Test {
  protected:
    void SetUp() override {
        opened_ = open_cudnn("");
        if (!opened_.library) {
            GTEST_SKIP() << opened_.problem;
        }
    }

    [[nodiscard]] Descriptor make(cudnnBackendDescriptorType_t type) const {
        return {*opened_.library, type};
    }

    OpenedCudnn opened_;
};

TEST_F(DescriptorTest, moved_from_owns_nothing) {
    Descriptor from = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    const cudnnBackendDescriptor_t owned = from.get();
    const Descriptor to = std::move(from);
    EXPECT_EQ(to.get(), owned);
    EXPECT_EQ(from.get(), nullptr);  // NOLINT(bugprone-use-after-move): what is tested
}

TEST_F(DescriptorTest, is_exchanged_by_assignment) {
    Descriptor a = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    Descriptor b = make(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    const cudnnBackendDescriptor_t second = b.get();
    a = std::move(b);
    EXPECT_EQ(a.get(), second);
}

TEST_F(DescriptorTest, names_the_attribute_that_is_refused) {
    Descriptor tensor = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    try {
        tensor.set(TD_CUDNN_ATTR(MATMUL_COMP_TYPE), CUDNN_DATA_FLOAT);
        FAIL() << "a tensor took an attribute of a matrix product";
    } catch (const LibraryError& error) {
        EXPECT_NE(std::string(error.what()).find("CUDNN_ATTR_MATMUL_COMP_TYPE"), std::string::npos)
            << error.what();
    }
}

TEST_F(DescriptorTest, names_the_call_that_finds_it_incomplete) {
    Descriptor tensor = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    EXPECT_THROW(tensor.finalize(), LibraryError);
}

}  // namespace
}  // namespace traindyno::cuda
