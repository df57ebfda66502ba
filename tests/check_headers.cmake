# header_checks: compiles every header alone, twice in a row, as one object library. Built on
# demand only. The one place that globs: a header missing here would go unchecked in silence.
file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/emulator/*.hpp ${PROJECT_SOURCE_DIR}/collectives/*.hpp
     ${PROJECT_SOURCE_DIR}/tests/*.hpp)
# Headers that include CUDA's or NCCL's: those of the folders that go into the GPU module.
if(NOT TRAINDYNO_HAS_CUDA)
  list(FILTER headers EXCLUDE REGEX "/(cuda|nccl|gpu)/.*")
endif()
set(units)
foreach(header IN LISTS headers)
  set(unit ${CMAKE_CURRENT_BINARY_DIR}/header_checks/${header}.cpp)
  file(CONFIGURE OUTPUT ${unit} CONTENT "#include \"@header@\"\n#include \"@header@\"\n" @ONLY)
  list(APPEND units ${unit})
endforeach()
add_library(header_checks OBJECT EXCLUDE_FROM_ALL ${units})
set_target_properties(header_checks PROPERTIES UNITY_BUILD OFF)
target_compile_options(header_checks PRIVATE -O0)
target_link_libraries(header_checks PRIVATE traindyno_flags fmt::fmt MPI::MPI_CXX OpenMP::OpenMP_CXX GTest::gtest)
if(TRAINDYNO_HAS_CUDA)
  target_link_libraries(header_checks PRIVATE CUDA::cudart_static NCCL::nccl CUDA::cublasLt)
  if(TARGET CUDNN::headers)
    target_link_libraries(header_checks PRIVATE CUDNN::headers)
  endif()
endif()
