/** Universes for the tests of cosmology. */
#ifndef COSMOLOGY_FIXTURES_H
#define COSMOLOGY_FIXTURES_H

#include "nephrite/cosmology.h"
#include "reference_file.h"

/** The published fiducial. */
#define FIDUCIAL                                                                                                       \
  {                                                                                                                    \
    .Omega_c = 0.2664, .Omega_b = 0.0492, .sigma_8 = 0.831, .h = 0.6727, .n_s = 0.9645, .w_0 = -1                      \
  }
/** Matter alone: everything is a power of the scale factor. */
#define EINSTEIN_DE_SITTER                                                                                             \
  {                                                                                                                    \
    .Omega_c = 0.95, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 0.96, .w_0 = -1                                 \
  }

static inline Universe universe_make(Cosmology cosmology, double z_max)
{
  Universe universe = {0};

  assert_ok(universe_create(&cosmology, z_max, &universe));
  return universe;
}

static inline void universe_free(Universe *universe)
{
  assert_ok(universe_destroy(universe));
}

/** Model \p row of cosmology.h5. */
static inline Cosmology reference_cosmology(const double *theta, size_t row)
{
  const double *t = theta + 6 * row;

  return (Cosmology){.Omega_c = t[0], .Omega_b = t[1], .sigma_8 = t[2], .h = t[3], .n_s = t[4], .w_0 = t[5]};
}

/** Draw \p index of the published prior (normal, truncated), physical ones only. */
static inline Cosmology prior_universe(uint64_t index)
{
  static const double mean[6] = {0.2664, 0.0492, 0.831, 0.6727, 0.9645, -1};
  static const double std[6] = {0.2, 0.006, 0.14, 0.063, 0.08, 0.9};

  for (uint64_t position = 0;; position += 6) {
    double x[6];

    random_normal((RandomKey){1, STREAM_PARAMETERS, index}, position, 6, x);
    for (int p = 0; p < 6; p++) x[p] = mean[p] + std[p] * x[p];

    const Cosmology cosmology = reference_cosmology(x, 0);
    if (x[5] >= -2 && x[5] <= -0.3 && cosmology_is_physical(&cosmology)) return cosmology;
  }
}

#endif
