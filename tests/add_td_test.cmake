# add_td_test(<name> SOURCES file... [LINK target...] [NP n...] [SHARDS n] [LABELS label...])
# One GoogleTest executable. Without NP it is one plain test, or with SHARDS n tests <name>.shard<i>
# that share the cases among them and run side by side; with NP it runs once per rank count under
# mpirun as <name>.np<n>, with the MPI main of tests/mpi (link traindyno::mpi_test_main).
# Only tests labelled gpu see GPUs: everything else means CPUs where it says no device.
# Target unit_tests builds every test with the label "unit".
add_custom_target(unit_tests)

# For tests that start MPI jobs: Open MPI refuses to run as root unless told twice.
set(mpi_as_root OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)

set(without_gpus CUDA_VISIBLE_DEVICES=set:)

function(add_td_test name)
  cmake_parse_arguments(arg "" "SHARDS" "SOURCES;LINK;NP;LABELS" ${ARGN})
  set(devices ${without_gpus})
  if("gpu" IN_LIST arg_LABELS)
    set(devices "")
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest)
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  if(NOT arg_NP)
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
    if(NOT arg_SHARDS)
      add_test(NAME ${name} COMMAND ${name})
      set_tests_properties(${name} PROPERTIES
        TIMEOUT 120 LABELS "${arg_LABELS}" ENVIRONMENT_MODIFICATION "${devices}")
      return()
    endif()
    foreach(shard RANGE 1 ${arg_SHARDS})
      math(EXPR index "${shard} - 1")
      add_test(NAME ${name}.shard${shard} COMMAND ${name})
      set_tests_properties(${name}.shard${shard} PROPERTIES
        TIMEOUT 120 LABELS "${arg_LABELS}" ENVIRONMENT_MODIFICATION "${devices}"
        ENVIRONMENT "GTEST_TOTAL_SHARDS=${arg_SHARDS};GTEST_SHARD_INDEX=${index};${mpi_as_root}")
    endforeach()
    return()
  endif()
  foreach(np IN LISTS arg_NP)
    add_test(NAME ${name}.np${np}
             COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n ${np} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.np${np} PROPERTIES
      TIMEOUT 150 PROCESSORS 2 LABELS "mpi;np${np};${arg_LABELS}"
      ENVIRONMENT "${mpi_as_root}" ENVIRONMENT_MODIFICATION "${devices}")
  endforeach()
endfunction()
