/** \file prior_options.c  The `prior` section of a campaign file.  \ingroup campaign */
#include "nephrite/campaign.h"

#define ENTRY(name, number, fallback, sentence)                                                                        \
  {                                                                                                                    \
    "prior_" name, VALUE_TEXT, offsetof(PriorConfig, distribution) + (number) * (size_t)OPTION_TEXT_SIZE, "",          \
        fallback, 0, 0, NULL, SCOPE_SIMULATION, sentence                                                               \
  }
#define FIRST_BIN_ENTRY (NEPHRITE_WCDM_PARAMETERS + 3)
#define DELTA_Z(bin)                                                                                                   \
  ENTRY("delta_z_" #bin, FIRST_BIN_ENTRY + (bin)-1, "fixed:0", "photo-z shift of bin " #bin ": n(z) -> n(z - delta_z)")
#define M(bin)                                                                                                         \
  ENTRY("m_" #bin, FIRST_BIN_ENTRY + NEPHRITE_MAX_BINS + (bin)-1, "fixed:0",                                           \
        "multiplicative shear bias of bin " #bin ": kappa -> (1 + m) kappa")

/* The defaults are the published prior (Remy, Chang & Willett 2026, arXiv:2606.31988). */
static const OptionSpec specs[] = {
    ENTRY("Omega_c", 0, "truncated_normal:0.2664,0.2,0,1",
          "cold dark matter density; normal:MEAN,STD, truncated_normal:MEAN,STD,LOW,HIGH, uniform:LOW,HIGH or "
          "fixed:VALUE"),
    ENTRY("Omega_b", 1, "normal:0.0492,0.006", "baryon density"),
    ENTRY("sigma_8", 2, "normal:0.831,0.14", "amplitude of matter fluctuations"),
    ENTRY("h", 3, "normal:0.6727,0.063", "Hubble constant in 100 km/s/Mpc"),
    ENTRY("n_s", 4, "normal:0.9645,0.08", "spectral index"),
    ENTRY("w_0", 5, "truncated_normal:-1,0.9,-2,-0.3", "dark energy equation of state today"),
    ENTRY("w_a", 6, "fixed:0", "its change with the scale factor (CPL)"),
    ENTRY("A_IA", 7, "fixed:0", "amplitude of intrinsic alignments (NLA)"),
    ENTRY("eta_IA", 8, "fixed:0", "their growth with redshift, ((1+z)/1.62)^eta"),
    DELTA_Z(1),
    DELTA_Z(2),
    DELTA_Z(3),
    DELTA_Z(4),
    DELTA_Z(5),
    DELTA_Z(6),
    DELTA_Z(7),
    DELTA_Z(8),
    DELTA_Z(9),
    DELTA_Z(10),
    DELTA_Z(11),
    DELTA_Z(12),
    DELTA_Z(13),
    DELTA_Z(14),
    DELTA_Z(15),
    DELTA_Z(16),
    M(1),
    M(2),
    M(3),
    M(4),
    M(5),
    M(6),
    M(7),
    M(8),
    M(9),
    M(10),
    M(11),
    M(12),
    M(13),
    M(14),
    M(15),
    M(16),
};

_Static_assert(sizeof specs / sizeof *specs == PRIOR_ENTRIES, "an option for every entry of the prior");

const OptionTable prior_options = {"prior", specs, sizeof specs / sizeof *specs};
