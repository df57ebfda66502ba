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
