/** \file kernels.c  Halofit along wavenumbers.
 *
 * Plain loops over LANES, which the compiler makes into vector instructions; nothing depends on how many a vector
 * holds.  \ingroup cosmology */
#include "cosmology/kernels.h"

#define PASTE(name, isa) cosmology_##name##_##isa
#define EXPAND(name, isa) PASTE(name, isa)
#define KERNEL(name) EXPAND(name, NEPHRITE_ISA)

enum { LANES = 32 }; /* more than compilers unroll, which would keep them from making vectors */

/* A geometric series at LANES successive places. */
typedef struct {
  double value[LANES], step; /* from one block to the next */
} Series;

static Series series_create(double first, double exponent)
{
  Series s = {.step = exp(LANES * exponent * POWER_LN_K_STEP)};
  const double step = exp(exponent * POWER_LN_K_STEP);

  s.value[0] = first;
  for (int l = 1; l < LANES; l++) s.value[l] = s.value[l - 1] * step;
  return s;
}

static inline void series_advance(Series *s)
{
  for (int l = 0; l < LANES; l++) s->value[l] *= s->step;
}

static void KERNEL(halofit)(const HalofitRow *row)
{
  const double alpha = row->halofit->alpha, beta = row->halofit->beta, nu = row->halofit->nu;
  Series y = series_create(row->y, 1), volume = series_create(row->volume, 3);
  Series numerator = series_create(row->powers[0], row->exponents[0]);
  Series shallow = series_create(row->powers[1], row->exponents[1]);
  Series steep = series_create(row->powers[2], row->exponents[2]);

  for (int first = 0; first < POWER_POINTS; first += LANES) {
    const int count = PetscMin(LANES, POWER_POINTS - first);
    double linear[LANES] = {0}, exponent[LANES], power[LANES];

    for (int l = 0; l < count; l++) linear[l] = row->linear_today[first + l];
    for (int l = 0; l < LANES; l++) linear[l] *= volume.value[l] * row->growth2;
    /* Takahashi et al. 2012, eq. A2, */
    for (int l = 0; l < LANES; l++) exponent[l] = beta * elementary_logarithm(linear[l]);
    for (int l = 0; l < LANES; l++) {
      const double y_l = y.value[l] < NO_TWO_HALO ? y.value[l] : NO_TWO_HALO;

      exponent[l] -= y_l / 4 + y_l * y_l / 8;
    }
    for (int l = 0; l < LANES; l++) power[l] = elementary_exponential(exponent[l]);
    for (int l = 0; l < LANES; l++) power[l] *= linear[l] / (1 + alpha * linear[l]);
    for (int l = 0; l < LANES; l++) power[l] = y.value[l] > NO_TWO_HALO ? 0 : power[l];
    /* and eqs A3 and A4, with mu_n = 0 */
    for (int l = 0; l < LANES; l++) {
      const double y_l = y.value[l];

      power[l] += numerator.value[l] / ((1 + shallow.value[l] + steep.value[l]) * (1 + nu / (y_l * y_l)));
      power[l] /= volume.value[l];
    }
    for (int l = 0; l < count; l++) row->nonlinear[first + l] = power[l];
    series_advance(&y);
    series_advance(&volume);
    series_advance(&numerator);
    series_advance(&shallow);
    series_advance(&steep);
  }
}

const CosmologyKernels KERNEL(kernels) = {.halofit = KERNEL(halofit)};
