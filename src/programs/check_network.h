/** \file check_network.h  What the groups of a network's reference file share.  \ingroup programs */
#ifndef NEPHRITE_PROGRAMS_CHECK_NETWORK_H
#define NEPHRITE_PROGRAMS_CHECK_NETWORK_H

#include "check.h"
#include "nephrite/network.h"

enum { CHECK_NETWORK_BUFFERS = 64 };

/** A reference file, the network it describes with its weights, and buffers that live as long. */
typedef struct {
  ProductReader *file;
  CheckReport *report;
  NetworkShape shape;
  size_t batch, pixels, parameters; /* pixels of all bins; parameters of the model */
  Network *network;
  void *buffers[CHECK_NETWORK_BUFFERS];
  int buffer_count;
} NetworkCheck;

/** Zeros that are freed with \p check. */
PetscErrorCode check_network_buffer(NetworkCheck *check, size_t bytes, void *buffer);
/** A dataset of \p count numbers as ::Scalar or as double. */
PetscErrorCode check_network_read(NetworkCheck *check, const char *name, size_t count, Scalar **values);
PetscErrorCode check_network_read_double(NetworkCheck *check, const char *name, size_t count, double **values);
PetscErrorCode check_network_read_into(NetworkCheck *check, const char *name, size_t count, double *values);
/** Keep the worst of |ours - file| / max |file| over a dataset. */
PetscErrorCode check_network_compare(NetworkCheck *check, const char *dataset, size_t count, const Scalar *ours,
                                     CheckWorst *worst);
/** The same as one line of the report.  \param tolerance  of the float32 build */
PetscErrorCode check_network_report(NetworkCheck *check, const char *dataset, size_t count, const Scalar *ours,
                                    double tolerance);
/** The weights of a group, tensor by tensor, into the network. */
PetscErrorCode check_network_weights(NetworkCheck *check, const char *group);
/** The tolerance of this build: one of float32, or 1e-10. */
double check_network_tolerance(double of_float);

/** Draws with the weights of group weights (group sample). */
PetscErrorCode check_network_sample(NetworkCheck *check);
/** Three steps of the optimiser (group train); leaves other weights in the network. */
PetscErrorCode check_network_train(NetworkCheck *check);

#endif
