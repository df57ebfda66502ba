# traindyno_wheel_folders(<name> <out>): folders nvidia/<name> of NVIDIA's Python wheels that the
# Python on PATH would import.
function(traindyno_wheel_folders name out)
  set(folders)
  find_program(TRAINDYNO_PYTHON python3)
  mark_as_advanced(TRAINDYNO_PYTHON)
  if(TRAINDYNO_PYTHON)
    execute_process(
      COMMAND ${TRAINDYNO_PYTHON} -c "import sys; print(';'.join(p for p in sys.path if p.endswith('-packages')))"
      OUTPUT_VARIABLE packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    foreach(folder IN LISTS packages)
      if(IS_DIRECTORY ${folder}/nvidia/${name})
        list(APPEND folders ${folder}/nvidia/${name})
      endif()
    endforeach()
  endif()
  set(${out} ${folders} PARENT_SCOPE)
endfunction()

# traindyno_wheel_libraries(<nvcc>): where nvcc comes from a wheel, whose libraries are in lib, not lib64, and have
# no name without version, tells nvcc and FindCUDAToolkit of them.
function(traindyno_wheel_libraries nvcc)
  get_filename_component(root ${nvcc}/../.. REALPATH)
  if(EXISTS ${root}/lib64 OR EXISTS ${root}/targets OR NOT EXISTS ${root}/lib)
    return()
  endif()
  set(ENV{NVCC_APPEND_FLAGS} "$ENV{NVCC_APPEND_FLAGS} -L${root}/lib")
  file(GLOB cudart ${root}/lib/libcudart.so.*)
  file(GLOB cublas_lt ${root}/lib/libcublasLt.so.*)
  set(CUDA_CUDART ${cudart} CACHE FILEPATH "")
  set(CUDA_cublasLt_LIBRARY ${cublas_lt} CACHE FILEPATH "")
endfunction()
