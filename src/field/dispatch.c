/** \file dispatch.c  Which kernels this processor can run: one binary meets mixed nodes.  \ingroup field */
#include "field/kernels.h"

int field_kernels_usable(const FieldKernels *tables[3])
{
  int count = 0;

  tables[count++] = &field_kernels_baseline;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables[count++] = &field_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
      tables[count++] = &field_kernels_avx512;
  }
  return count;
}

const FieldKernels *field_kernels_best(void)
{
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);

  return tables[count - 1];
}
