/** \file dispatch.c  Which kernels this processor can run: one binary meets mixed nodes.  \ingroup cosmology */
#include "cosmology/kernels.h"

int cosmology_kernels_usable(const CosmologyKernels *tables[3])
{
  int count = 0;

  tables[count++] = &cosmology_kernels_baseline;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables[count++] = &cosmology_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
      tables[count++] = &cosmology_kernels_avx512;
  }
  return count;
}

const CosmologyKernels *cosmology_kernels_best(void)
{
  const CosmologyKernels *tables[3];
  const int count = cosmology_kernels_usable(tables);

  return tables[count - 1];
}
