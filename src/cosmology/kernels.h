/** \file kernels.h  The inner loop of nonlinear power, one table per instruction set.  \ingroup cosmology */
#ifndef NEPHRITE_COSMOLOGY_KERNELS_H
#define NEPHRITE_COSMOLOGY_KERNELS_H

#include "cosmology/internal.h"

/** Beyond this k/k_nl the two-halo term's exp(-y/4 - y^2/8) is below 1e-50. */
#define NO_TWO_HALO 30.

/** Halofit on the grid of wavenumbers, where y = k/k_nl and its powers are geometric series. */
typedef struct {
  const Halofit *halofit;
  double growth2; /* growth squared */
  double y, volume; /* k/k_nl and k^3/(2 pi^2) of the first wavenumber */
  double powers[3]; /* a y^(3 f1), b y^f2, (c f3 y)^(3 - gamma) there */
  double exponents[3]; /* 3 f1, f2, 3 - gamma */
  const double *linear_today; /* [POWER_POINTS] */
  double *nonlinear; /* [POWER_POINTS] */
} HalofitRow;

typedef struct {
  void (*halofit)(const HalofitRow *row);
} CosmologyKernels;

extern const CosmologyKernels cosmology_kernels_baseline, cosmology_kernels_avx2, cosmology_kernels_avx512;
/** Those that this processor can run, best last.  \param[out] tables [3]  \return how many */
int cosmology_kernels_usable(const CosmologyKernels *tables[3]);
/** The best of them. */
const CosmologyKernels *cosmology_kernels_best(void);

#endif
