#include "cosmology/kernels.h"
#include "fixtures.h"

/* Every table that this processor can run is held to the plain computation, wavenumber by wavenumber. */

static void halofit_along_wavenumbers_is_halofit_at_each(void **state)
{
  const CosmologyKernels *tables[3];
  const int count = cosmology_kernels_usable(tables);
  static double linear[POWER_POINTS], nonlinear[POWER_POINTS];

  (void)state;
  for (int t = 0; t < count; t++)
    for (int scale = 0; scale < 4; scale++) { /* of which the largest has no two-halo term left within the grid */
      const Halofit halofit = {PETSC_TRUE, 0.1 * pow(10, scale - 1), 12, 0.8, 1.3, 0.3, 4.2, 1.1, 2e-3, 1.03, 1.07};
      const double y = POWER_K_MIN / halofit.k_nonlinear;
      const HalofitRow row = {.halofit = &halofit,
                              .growth2 = 0.6,
                              .y = y,
                              .volume = pow(POWER_K_MIN, 3) / (2 * M_PI * M_PI),
                              .powers = {halofit.a * pow(y, 3 * halofit.f1), halofit.b * pow(y, halofit.f2),
                                         pow(halofit.c_f3 * y, 3 - halofit.gamma)},
                              .exponents = {3 * halofit.f1, halofit.f2, 3 - halofit.gamma},
                              .linear_today = linear,
                              .nonlinear = nonlinear};

      for (int i = 0; i < POWER_POINTS; i++) {
        const double k = POWER_K_MIN * exp(i * POWER_LN_K_STEP);

        linear[i] = 2e4 * k / 0.02 / (1 + pow(k / 0.02, 3.6));
      }
      tables[t]->halofit(&row);
      for (int i = 0; i < POWER_POINTS; i++) {
        const double k = POWER_K_MIN * exp(i * POWER_LN_K_STEP), volume = k * k * k / (2 * M_PI * M_PI);

        /* running products of at most 57 factors, in powers of up to 4 */
        assert_close(nonlinear[i], halofit_dimensionless(&halofit, k, volume * 0.6 * linear[i]) / volume, 1e-12);
      }
    }
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(halofit_along_wavenumbers_is_halofit_at_each))
