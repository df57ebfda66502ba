# add_td_test(<name> SOURCES file... [LINK target...] [NP n...] [LABELS label...])
# One GoogleTest executable. Without NP it is one plain test; with NP it runs once per rank count
# under mpirun as <name>.np<n>, with the MPI main of tests/mpi (link traindyno::mpi_test_main).
# Target unit_tests builds every test with the label "unit".
add_custom_target(unit_tests)

function(add_td_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;NP;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest)
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  if(NOT arg_NP)
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS "${arg_LABELS}")
    return()
  endif()
  foreach(np IN LISTS arg_NP)
    add_test(NAME ${name}.np${np}
             COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n ${np} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.np${np} PROPERTIES
      TIMEOUT 60 PROCESSORS 2 LABELS "mpi;np${np};${arg_LABELS}"
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
  endforeach()
endfunction()
