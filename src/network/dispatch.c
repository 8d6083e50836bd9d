/** \file dispatch.c  Which kernels this processor can run: one binary meets mixed nodes.  \ingroup network */
#include "kernels.h"

int network_kernels_usable(const NetworkKernels *tables[3])
{
  int count = 0;

  tables[count++] = &network_kernels_baseline;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables[count++] = &network_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
      tables[count++] = &network_kernels_avx512;
  }
  return count;
}

const NetworkKernels *network_kernels_best(void)
{
  const NetworkKernels *tables[3];
  const int count = network_kernels_usable(tables);

  return tables[count - 1];
}
