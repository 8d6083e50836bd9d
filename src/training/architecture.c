/** \file architecture.c  The shape of a network as attributes at the root of a file.  \ingroup training */
#include "internal.h"

#include <string.h>

/* By the names of the manual.  What is not an option of the `network` section has its range here. */
typedef struct {
  const char *name;
  size_t member; /* of NetworkShape */
  double most; /* 0: the option's range */
} Attribute;

#define SHAPE(member) offsetof(NetworkShape, member)
static const Attribute int_attributes[] = {{"ny", SHAPE(ny), 1 << 17},
                                           {"nx", SHAPE(nx), 1 << 17},
                                           {"bins", SHAPE(bins), NEPHRITE_MAX_BINS},
                                           {"observation_channels", SHAPE(observation_channels), 4096},
                                           {"parameters", SHAPE(parameters), NEPHRITE_MAX_PARAMETERS},
                                           {"depth", SHAPE(config.depth), 0},
                                           {"width", SHAPE(config.width), 0},
                                           {"heads", SHAPE(config.heads), 0},
                                           {"patch", SHAPE(config.patch), 0},
                                           {"observation_patch", SHAPE(config.observation_patch), 0},
                                           {"observation_start", SHAPE(config.observation_start), 0},
                                           {"cosmology_tokens", SHAPE(config.cosmology_tokens), 0},
                                           {"bottleneck", SHAPE(config.bottleneck), 0},
                                           {"time_frequencies", SHAPE(config.time_frequencies), 0}};
static const Attribute real_attributes[] = {{"rms_epsilon", SHAPE(config.rms_epsilon), 0},
                                            {"time_floor", SHAPE(config.time_floor), 0},
                                            {"rope_base", SHAPE(config.rope_base), 0},
                                            {"time_max_period", SHAPE(config.time_max_period), 0}};
/* Since version 3 of checkpoints; without it the network is told none. */
static const Attribute spectra_attribute = {"spectra", SHAPE(config.spectra), 0};
/* Since version 4; likewise. */
static const Attribute one_point_attribute = {"one_point", SHAPE(config.one_point), 0};
/* Of no matter to what the network answers: a file of weights may do without. */
static const Attribute dropout_attribute = {"dropout", SHAPE(config.dropout), 0};
#undef SHAPE
enum {
  INT_ATTRIBUTES = sizeof int_attributes / sizeof *int_attributes,
  REAL_ATTRIBUTES = sizeof real_attributes / sizeof *real_attributes,
};

typedef struct {
  const char *name;
  size_t member; /* of NetworkShape */
  const char *values[3];
} Choice;

static const Choice conditioning_choice = {"conditioning",
                                           offsetof(NetworkShape, config.conditioning),
                                           {[CONDITIONING_TOKENS] = "tokens", [CONDITIONING_CHANNELS] = "channels"}};
/* Since version 3 of checkpoints; without it the heads say the clean data. */
static const Choice output_choice = {
    "output",
    offsetof(NetworkShape, config.output),
    {[OUTPUT_CLEAN] = "clean", [OUTPUT_RESIDUAL] = "residual", [OUTPUT_WIENER] = "wiener"}};

/* Since version 4 of checkpoints; without it the flow is joint. */
static const Choice flow_choice = {"flow",
                                   offsetof(NetworkShape, config.flow),
                                   {[FLOW_JOINT] = "joint", [FLOW_PARAMETERS_FIRST] = "parameters_first"}};

static const char *choice_of(const NetworkShape *shape, const Choice *choice)
{
  return choice->values[*(const int *)(const void *)((const char *)shape + choice->member)];
}

/* ---- writing ---- */

static PetscInt int_of(const NetworkShape *shape, const Attribute *attribute)
{
  return *(const PetscInt *)(const void *)((const char *)shape + attribute->member);
}

static PetscErrorCode write_int(ProductWriter *writer, const NetworkShape *shape, const Attribute *attribute)
{
  const int64_t value = int_of(shape, attribute);

  PetscFunctionBeginUser;
  PetscCall(product_attribute_int(writer, NULL, attribute->name, 1, &value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode architecture_write(ProductWriter *writer, const NetworkShape *shape)
{
  PetscFunctionBeginUser;
  for (size_t i = 0; i < INT_ATTRIBUTES; i++) PetscCall(write_int(writer, shape, &int_attributes[i]));
  PetscCall(write_int(writer, shape, &spectra_attribute));
  PetscCall(write_int(writer, shape, &one_point_attribute));
  for (size_t i = 0; i < REAL_ATTRIBUTES; i++) {
    const double *value = (const void *)((const char *)shape + real_attributes[i].member);

    PetscCall(product_attribute_real(writer, NULL, real_attributes[i].name, 1, value));
  }
  PetscCall(product_attribute_real(writer, NULL, dropout_attribute.name, 1, &shape->config.dropout));
  PetscCall(product_attribute_text(writer, NULL, "conditioning", choice_of(shape, &conditioning_choice)));
  PetscCall(product_attribute_text(writer, NULL, "output", choice_of(shape, &output_choice)));
  PetscCall(product_attribute_text(writer, NULL, "flow", choice_of(shape, &flow_choice)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- reading ---- */

/* NULL where the attribute is no option of the network. */
static const OptionSpec *option_of(const Attribute *attribute)
{
  const size_t prefix = strlen("network_");

  for (size_t i = 0; i < network_options.count; i++)
    if (!strcmp(network_options.specs[i].name + prefix, attribute->name)) return &network_options.specs[i];
  return NULL;
}

static PetscErrorCode check_range(const char *path, const Attribute *attribute, double value)
{
  const OptionSpec *option = option_of(attribute);
  const double low = option ? option->low : 1, high = option ? option->high : attribute->most;

  PetscFunctionBeginUser;
  PetscCheck(value >= low && value <= high, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: attribute %s is %.6g; it must lie in [%.6g, %.6g]", path, attribute->name, value, low, high);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_int(ProductReader *reader, const char *path, const Attribute *attribute, NetworkShape *shape)
{
  double value; /* exact in any range that is possible */

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(reader, NULL, attribute->name, 1, &value));
  PetscCall(check_range(path, attribute, value));
  PetscCheck(value == (double)(PetscInt)value, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: attribute %s is %.6g; it must be a whole number", path, attribute->name, value);
  *(PetscInt *)(void *)((char *)shape + attribute->member) = (PetscInt)value;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_real(ProductReader *reader, const char *path, const Attribute *attribute,
                                NetworkShape *shape)
{
  double *value = (void *)((char *)shape + attribute->member);

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(reader, NULL, attribute->name, 1, value));
  PetscCall(check_range(path, attribute, *value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_choice(ProductReader *reader, const char *path, const Choice *choice, NetworkShape *shape)
{
  char *text = NULL, found[64];

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_text(reader, NULL, choice->name, &text));
  snprintf(found, sizeof found, "%s", text);
  PetscCall(PetscFree(text));
  for (int i = 0; i < 3; i++) {
    if (!choice->values[i] || strcmp(found, choice->values[i])) continue;
    *(int *)(void *)((char *)shape + choice->member) = i;
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: attribute %s is \"%s\"; it must be %s or %s%s%s", path,
          choice->name, found, choice->values[0], choice->values[1], choice->values[2] ? " or " : "",
          choice->values[2] ? choice->values[2] : "");
}

static PetscErrorCode read_if_there(ProductReader *reader, const char *path, NetworkShape *shape)
{
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has_attribute(reader, NULL, spectra_attribute.name, &has));
  if (has) PetscCall(read_int(reader, path, &spectra_attribute, shape));
  PetscCall(product_has_attribute(reader, NULL, one_point_attribute.name, &has));
  if (has) PetscCall(read_int(reader, path, &one_point_attribute, shape));
  PetscCall(product_has_attribute(reader, NULL, output_choice.name, &has));
  if (has) PetscCall(read_choice(reader, path, &output_choice, shape));
  PetscCall(product_has_attribute(reader, NULL, flow_choice.name, &has));
  if (has) PetscCall(read_choice(reader, path, &flow_choice, shape));
  PetscCall(product_has_attribute(reader, NULL, dropout_attribute.name, &has));
  if (has) PetscCall(read_real(reader, path, &dropout_attribute, shape));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode architecture_read(ProductReader *reader, const char *path, NetworkShape *shape)
{
  PetscFunctionBeginUser;
  *shape = (NetworkShape){0};
  for (size_t i = 0; i < INT_ATTRIBUTES; i++) PetscCall(read_int(reader, path, &int_attributes[i], shape));
  for (size_t i = 0; i < REAL_ATTRIBUTES; i++) PetscCall(read_real(reader, path, &real_attributes[i], shape));
  PetscCall(read_choice(reader, path, &conditioning_choice, shape));
  PetscCall(read_if_there(reader, path, shape));
  shape->config.dropout_first = shape->config.dropout_last = -1; /* in the configuration; of no matter to tensors */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- as a configuration ---- */

PetscErrorCode architecture_yaml(const NetworkShape *shape, char **yaml)
{
  const char *base = (const char *)shape;
  char text[2048];
  size_t used = (size_t)snprintf(text, sizeof text, "network:\n");

  PetscFunctionBeginUser;
  for (size_t i = 0; i < INT_ATTRIBUTES; i++)
    if (option_of(&int_attributes[i]))
      used += (size_t)snprintf(text + used, sizeof text - used, "  %s: %d\n", int_attributes[i].name,
                               (int)int_of(shape, &int_attributes[i]));
  used += (size_t)snprintf(text + used, sizeof text - used, "  spectra: %d\n  one_point: %d\n",
                           (int)shape->config.spectra, (int)shape->config.one_point);
  for (size_t i = 0; i < REAL_ATTRIBUTES; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, "  %s: %.17g\n", real_attributes[i].name,
                             *(const double *)(const void *)(base + real_attributes[i].member));
  snprintf(text + used, sizeof text - used, "  conditioning: %s\n  output: %s\n  flow: %s\n",
           choice_of(shape, &conditioning_choice), choice_of(shape, &output_choice), choice_of(shape, &flow_choice));
  PetscCall(PetscStrallocpy(text, yaml));
  PetscFunctionReturn(PETSC_SUCCESS);
}
